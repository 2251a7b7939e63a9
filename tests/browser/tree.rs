//! What a screen reader gets: the accessibility tree of a page as text, compared with a reviewed one.
//! `UPDATE_SNAPSHOTS=1` writes the files.

use std::{collections::HashMap, env, fmt::Write, fs, path::Path};

use runboard::http::VERSION;
use serde_json::{Value, json};

use crate::{
    chromium::Chromium,
    gallery::{Gallery, stop_the_clock},
};

const PAGES: [&str; 16] = [
    "import-sent",
    "import-arriving",
    "import-running",
    "import-retrying",
    "import-completed-with-failures",
    "import-failed",
    "import-cancelled",
    "import-nobody-took-it",
    "import-source-silent",
    "import-fan-out",
    "import-run-again",
    "dashboard-empty",
    "dashboard-refused-address",
    "dashboard-file-too-large",
    "sign-in-refused",
    "sign-up-closed",
];

/// The properties that are included besides role and name.
const STATES: [&str; 11] = [
    "checked",
    "disabled",
    "expanded",
    "focused",
    "invalid",
    "level",
    "live",
    "pressed",
    "required",
    "selected",
    "valuetext",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_reader_is_told_what_the_pages_say() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    stop_the_clock(&chromium).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/snapshots");
    let update = env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut differences = String::new();
    for name in PAGES {
        gallery.open(&chromium, gallery.page(name)).await;
        let mut told = String::new();
        // The browser builds the tree after it has painted the page.
        let has_content = async || {
            told = tree(&chromium).await.replace(VERSION, "0.0.0");
            told.contains("\n  main")
        };
        chromium.wait_for("the tree of the page", has_content).await;
        let path = folder.join(format!("{name}.txt"));
        if update {
            fs::write(&path, &told).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        if told != kept {
            writeln!(differences, "{name} was\n{kept}\nand is\n{told}").unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}\nUPDATE_SNAPSHOTS=1 takes it as it is.");
    chromium.stop().await;
    gallery.stop().await;
}

async fn tree(chromium: &Chromium) -> String {
    let answer = chromium.command("Accessibility.getFullAXTree", json!({})).await;
    let nodes = answer["nodes"].as_array().unwrap();
    let by_id: HashMap<&str, &Value> =
        nodes.iter().map(|node| (node["nodeId"].as_str().unwrap(), node)).collect();
    let mut told = String::new();
    tell(&nodes[0], &by_id, 0, "", &mut told);
    told
}

fn tell(node: &Value, nodes: &HashMap<&str, &Value>, depth: usize, above: &str, told: &mut String) {
    let text = |name: &str| node[name]["value"].as_str().unwrap_or_default();
    let (role, name) = (text("role"), text("name"));
    // A line inside a text, and a text that equals the name of its container, add nothing.
    if role == "InlineTextBox" || (role == "StaticText" && name.trim() == above.trim()) {
        return;
    }
    // Whether a form without a name has a node of its own depends on the version of Chromium.
    let says_nothing = ["none", "generic", "paragraph", "form"].contains(&role) && name.is_empty();
    let is_told = node["ignored"] != true && !says_nothing;
    if is_told {
        write!(told, "{:1$}{role}", "", depth * 2).unwrap();
        if !name.is_empty() {
            write!(told, " {name:?}").unwrap();
        }
        for state in ["value", "description"] {
            match &node[state]["value"] {
                Value::Null => {}
                Value::String(text) if text.is_empty() => {}
                value => write!(told, " {state}={value}").unwrap(),
            }
        }
        for property in node["properties"].as_array().into_iter().flatten() {
            let state = property["name"].as_str().unwrap();
            let value = &property["value"]["value"];
            let is_off = *value == false || *value == "false" || *value == "";
            // Told by some versions of Chromium only.
            let is_of_version = matches!((role, state), ("RootWebArea", "focused") | ("listitem", "level"));
            if STATES.contains(&state) && !is_off && !is_of_version {
                write!(told, " {state}={}", value.to_string().trim_matches('"')).unwrap();
            }
        }
        told.push('\n');
    }
    let (depth, above) = if is_told { (depth + 1, name) } else { (depth, above) };
    for child in node["childIds"].as_array().into_iter().flatten() {
        if let Some(child) = nodes.get(child.as_str().unwrap()) {
            tell(child, nodes, depth, above, told);
        }
    }
}
