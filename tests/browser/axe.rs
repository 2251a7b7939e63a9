//! The findings of axe-core on every page of the gallery, in both colour schemes, on a phone and on a wide
//! screen.

use std::{fmt::Write, fs};

use serde_json::Value;

use crate::{
    chromium::Chromium,
    gallery::{Gallery, stop_the_clock},
};

/// The narrowest supported screen, which is also 400% zoom on a screen of 1280; and a wide one.
const NARROW: u32 = 320;
const WIDE: u32 = 1920;

/// What each page is looked at in, one change after the other.
const LOOKS: [(&str, u32); 4] = [("light", NARROW), ("light", WIDE), ("dark", WIDE), ("dark", NARROW)];

/// The rules whose outcome depends on the colour scheme. The others have nothing to find in the second one: it shows
/// the same elements in the same places.
const OF_COLOURS: [&str; 2] = ["color-contrast", "link-in-text-block"];

/// Takes the names of the rules, or none for all.
const RUN: &str = "
    const [rules] = arguments;
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const runOnly = rules.length ? { type: 'rule', values: rules } : { type: 'tag', values: tags };
    const { violations, incomplete, passes } = await axe.run(document, {
        runOnly, resultTypes: ['violations', 'incomplete'],
        iframes: false, preload: false });
    // axe cannot determine the background of the words of a held file, which lie over the hidden form, nor of
    // the words of a drawing: those of the plot have the text colour, on the panel's surface.
    const isKnown = ({ target: [selector] }) =>
        document.querySelector('.drop-zone.held') && selector.startsWith('.drop-held') ||
        document.querySelector(selector).matches('.plot text');
    const { clientWidth, scrollWidth } = document.documentElement;
    const sticksOut = (one) => one.getBoundingClientRect().right > clientWidth && !one.closest('.visually-hidden');
    return {
        passes: passes.length,
        sideways: scrollWidth > clientWidth ? `${scrollWidth - clientWidth} px, for ` +
            [...document.body.querySelectorAll('*')].filter(sticksOut)
                .map((one) => one.outerHTML.replace(/>.*/s, '>')).join(' ') : null,
        violations: violations.concat(incomplete).flatMap(({ id, nodes }) => nodes.filter((node) => !isKnown(node)).map((node) =>
            `${id}: ${node.target.join(' ')} ${(node.failureSummary ?? 'undecided').replace(/\\s+/g, ' ')}`)),
    };";

async fn chromium_with_axe() -> Chromium {
    let axe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/node_modules/axe-core/axe.min.js");
    let axe = fs::read_to_string(axe).expect("axe-core is installed (make setup)");
    let chromium = Chromium::start().await;
    chromium.run_first(&axe).await;
    chromium
}

async fn run(chromium: &Chromium, rules: &[&str]) -> Value {
    chromium.driver.execute(RUN, vec![rules.into()]).await.unwrap().json().clone()
}

/// Checks pages of one kind: the tests below share the machine's cores.
async fn no_page_is_found_fault_with(is_meant: impl Fn(&str) -> bool) {
    let gallery = Gallery::start();
    let chromium = chromium_with_axe().await;
    stop_the_clock(&chromium).await;
    let mut faults = String::new();
    let mut look = ("", 0);
    for page in gallery.pages.iter().filter(|page| is_meant(page.name)) {
        gallery.open(&chromium, page).await;
        for (scheme, width) in LOOKS {
            if look.0 != scheme {
                // With reduced motion, so that no colour is measured during a transition.
                chromium.prefer(scheme, "reduce").await;
            }
            if look.1 != width {
                chromium.resize(width, 800).await;
            }
            look = (scheme, width);
            let (rules, least): (&[&str], u64) = if scheme == "light" { (&[], 10) } else { (&OF_COLOURS, 1) };
            let found = run(&chromium, rules).await;
            let place = format!("{} in {scheme}, {width} wide", page.name);
            assert!(found["passes"].as_u64().unwrap() >= least, "axe looked at {place}: {found}");
            if !found["sideways"].is_null() {
                writeln!(faults, "{place} scrolls sideways: {}", found["sideways"]).unwrap();
            }
            for violation in found["violations"].as_array().unwrap() {
                let violation = violation.as_str().unwrap();
                writeln!(faults, "{place}: {violation}").unwrap();
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
    chromium.stop().await;
    gallery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_an_import_has_a_fault_that_axe_knows() {
    no_page_is_found_fault_with(|name| name.starts_with("import-")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_page_has_a_fault_that_axe_knows() {
    no_page_is_found_fault_with(|name| !name.starts_with("import-")).await;
}

/// Proves that the two tests above can fail.
#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_a_picture_without_words_and_words_without_contrast() {
    let gallery = Gallery::start();
    let chromium = chromium_with_axe().await;
    gallery.open(&chromium, gallery.page("sign-in")).await;
    chromium.evaluate("document.querySelector('main').append(document.createElement('img'))").await;
    let found = run(&chromium, &[]).await;
    assert!(found["violations"][0].as_str().unwrap().starts_with("image-alt: "), "{found}");
    chromium.evaluate("document.querySelector('h1').style.color = 'Canvas'").await;
    let found = run(&chromium, &OF_COLOURS).await;
    assert!(found["violations"][0].as_str().unwrap().starts_with("color-contrast: "), "{found}");
    chromium.stop().await;
    gallery.stop().await;
}
