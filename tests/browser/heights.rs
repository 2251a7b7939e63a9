//! Numbers change, the layout does not: elements that must have the same height in every state.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    chromium::Chromium,
    gallery::{Gallery, stop_the_clock},
};

/// The height of each panel and card of one file, with its number of runs and its state. (A longer name makes
/// a card higher. A panel of an unread import reserves no space, the panel of a function without counts
/// has no row of figures, and a panel that is opened after the end has no empty plot.)
const HEIGHTS: &str = "
    const isMeant = (one) => one.matches('.import:not(.unread) .panel:has(.figures):has(.plot.above)') || one.querySelector('h3')?.textContent === 'orders-2026-11.csv';
    return [...document.querySelectorAll('.panel, .card')].filter(isMeant).map((one) => {
        const { state } = one.closest('[data-state]').dataset;
        return [one.querySelectorAll('.run').length, state, one.offsetHeight];
    });";

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_and_a_card_keep_their_height_in_every_state() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    stop_the_clock(&chromium).await;
    // Animations would take time from the measurements.
    chromium.prefer("light", "reduce").await;
    let pages = gallery.pages.iter();
    let pages = pages.filter(|page| page.name.starts_with("import-") || page.name == "dashboard-busy");
    let widths = [1280, 700, 360, 320];
    // For each card or panel with one run: which states have which height.
    let mut heights = BTreeMap::<_, BTreeMap<i64, BTreeSet<String>>>::new();
    for page in pages {
        gallery.open(&chromium, page).await;
        let kind = page.name.split('-').next().unwrap();
        for width in widths {
            chromium.resize(width, 800).await;
            for one in chromium.evaluate(HEIGHTS).await.as_array().unwrap() {
                if one[0] == 1 {
                    let of_kind = heights.entry((kind, width)).or_default();
                    of_kind.entry(one[2].as_i64().unwrap()).or_default().insert(one[1].to_string());
                }
            }
        }
    }
    assert_eq!(heights.len(), 2 * widths.len(), "panels and cards were measured");
    for ((kind, width), heights) in heights {
        assert_eq!(heights.len(), 1, "{kind}, {width} wide: {heights:?}");
        assert!(heights.values().next().unwrap().len() > 3, "{kind}: {heights:?}");
    }
    chromium.stop().await;
    gallery.stop().await;
}

/// The top of the first rows, which are below the panel and the reasons.
const FIRST_ROWS: &str = "
    const rows = document.querySelector('.first-rows');
    return rows && Math.round(rows.getBoundingClientRect().top + scrollY - document.querySelector('.panel').offsetTop);";

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_below_the_reasons_stays_where_it_is_when_they_come() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    stop_the_clock(&chromium).await;
    chromium.prefer("light", "reduce").await;
    let mut places = BTreeMap::<_, BTreeMap<_, _>>::new();
    for name in [
        "import-sent",
        "import-running",
        "import-completed",
        "import-completed-one-reason",
        "import-read-with-notes",
    ] {
        gallery.open(&chromium, gallery.page(name)).await;
        for width in [1280, 360] {
            chromium.resize(width, 800).await;
            let place = chromium.evaluate(FIRST_ROWS).await.as_i64().expect("there are first rows");
            places.entry(width).or_default().insert(name, place);
        }
    }
    for (width, places) in places {
        // A difference of less than two pixels is rounding.
        let spread = places.values().max().unwrap() - places.values().min().unwrap();
        assert!(spread < 2, "{width} wide: {places:?}");
    }
    chromium.stop().await;
    gallery.stop().await;
}
