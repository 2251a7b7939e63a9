//! Text keeps its space: at every width and font size no two texts overlap, and nothing scrolls sideways. What can be
//! pressed is large enough.

use serde_json::Value;

use crate::{
    chromium::Chromium,
    gallery::{Gallery, stop_the_clock},
};

const WIDTHS: [u32; 6] = [320, 360, 720, 820, 1024, 1280];
/// Root font sizes in pixels: the browser's default, and a larger one.
const FONTS: [u32; 2] = [16, 24];

/// Overlapping or cut texts, and elements wider than their container. Texts are measured by their glyph
/// boxes; hidden, shortened or scrolled texts count only as far as they are visible.
const FAULTS: &str = "
    const isHidden = (element) =>
        element.closest('.visually-hidden, noscript, [hidden]') !== null
        || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    const overlap = (one, other) => ({
        left: Math.max(one.left, other.left), top: Math.max(one.top, other.top),
        right: Math.min(one.right, other.right), bottom: Math.min(one.bottom, other.bottom),
    });
    // Where the content of an element can be seen; null for nowhere. Kept, because texts share their ancestors.
    const clips = new Map([[document.body, { left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity }]]);
    const clipOf = (element) => {
        let clip = clips.get(element);
        if (clip !== undefined) return clip;
        clip = clipOf(element.parentElement);
        const style = getComputedStyle(element);
        if (style.position === 'absolute' && style.clipPath !== 'none') clip = null;
        else if (clip && (style.overflowX !== 'visible' || style.overflowY !== 'visible')) clip = overlap(clip, element.getBoundingClientRect());
        clips.set(element, clip);
        return clip;
    };
    const seen = (element, rect) => {
        const clip = clipOf(element);
        const box = clip && overlap(clip, rect);
        return box && box.right - box.left > 1 && box.bottom - box.top > 1 ? box : null;
    };
    const [boxes, faults] = [[], []];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) {
        if (!node.data.trim() || isHidden(node.parentElement)) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const rect of range.getClientRects()) {
            const box = seen(node.parentElement, rect);
            const text = node.data.trim().slice(0, 40);
            if (!box) continue;
            boxes.push({ ...box, text, of: node.parentElement });
            const isMeant = node.parentElement.closest('.scroll, pre, [title], .email, .breadcrumb span');
            if (rect.right > box.right + 1 && !isMeant) faults.push(`cut off: ${text}`);
        }
    }
    for (const shape of document.querySelectorAll('svg.share, .badge, .button')) {
        const box = isHidden(shape) ? null : seen(shape, shape.getBoundingClientRect());
        if (box) boxes.push({ ...box, text: `<${shape.classList[0]}>`, of: shape });
    }
    // Lines of one paragraph share some pixels of their line boxes.
    const slack = 2.5;
    boxes.sort((one, other) => one.top - other.top);
    for (const [index, one] of boxes.entries()) {
        for (let next = index + 1; next < boxes.length && boxes[next].top <= one.bottom - slack; next += 1) {
            const other = boxes[next];
            const { left, top, right, bottom } = overlap(one, other);
            if (right - left <= 1 || bottom - top <= slack) continue;
            const isWithin = one.of.contains(other.of) || other.of.contains(one.of);
            if (!isWithin) faults.push(`${one.text} | ${other.text}`);
        }
    }
    // Figures in one row: neighbours keep a gap.
    for (const figures of document.querySelectorAll('.figures')) {
        const row = [...figures.querySelectorAll('dt, dd')].filter((one) => one.checkVisibility()).map((one) => {
            const range = document.createRange();
            range.selectNodeContents(one);
            return { text: one.textContent, box: range.getBoundingClientRect() };
        });
        for (const one of row) for (const other of row) {
            const isBeside = one !== other && other.box.left >= one.box.left
                && Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top) > slack;
            const gap = other.box.left - one.box.right;
            if (isBeside && gap < 6) faults.push(`${one.text} touches ${other.text}: ${gap.toFixed(1)} px`);
        }
    }
    // Columns: each heading is above cells, and each cell below a heading.
    for (const table of document.querySelectorAll('.history table')) {
        const seenCells = (row) => [...row.cells].filter((cell) => cell.checkVisibility()).map((cell) => cell.cellIndex).join();
        const [head, first] = [table.tHead.rows[0], table.tBodies[0].querySelector('[data-import-id]')];
        const areShown = head.checkVisibility() && first;
        if (areShown && seenCells(head) !== seenCells(first)) faults.push(`columns ${seenCells(head)} over ${seenCells(first)}`);
    }
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) {
        const isMeant = (one) => one.closest('.scroll, pre') !== null || isHidden(one);
        const out = [...document.body.querySelectorAll('*')]
            .filter((one) => !isMeant(one) && one.getBoundingClientRect().right > root.clientWidth + .5)
            .map((one) => `${one.tagName}.${one.classList}`);
        faults.push(`scrolls sideways: ${root.scrollWidth} of ${root.clientWidth}: ${out.slice(-3)}`);
    }
    return faults;";

fn texts(found: &Value) -> impl Iterator<Item = &str> {
    found.as_array().unwrap().iter().filter_map(Value::as_str)
}

/// Controls smaller than 24 px in either direction, or, on a phone's page, less high than 44 px if they are
/// the page's main actions. A link in a sentence may be as high as its line. The size is that of the reacting
/// area, such as the whole row of a link, not of the drawn element.
const SMALL_TARGETS: &str = "
    const least = 24, main = arguments[0] ? 44 : least;
    const isMain = (one) => one.matches('.button, .field, .site-header a, .site-header button');
    const isInSentence = (one) => one.localName === 'a' && getComputedStyle(one).display === 'inline'
        && [...one.parentElement.childNodes].some((beside) => beside !== one && /\\w/.test(beside.textContent) && !beside.matches?.('.visually-hidden'));
    const reaches = (one, x, y) => {
        const hit = document.elementFromPoint(x, y);
        return hit !== null && (one.contains(hit) || hit.closest('label')?.control === one || hit.contains(one) && hit.closest('summary') === one);
    };
    const all = document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary, label.button');
    const faults = [];
    for (const one of all) {
        if (one.matches('.skip-link, .file-input') || isInSentence(one)) continue;
        if (!one.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
        const high = isMain(one) ? main : least;
        const { width, height } = one.getBoundingClientRect();
        if (height >= high && width >= least) continue;
        one.scrollIntoView({ block: 'center', inline: 'center' });
        const box = one.getBoundingClientRect();
        const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
        // Just inside the edges of a target of this size around its middle.
        const isEnough = [[0, high / 2 - 1], [0, 1 - high / 2], [least / 2 - 1, 0], [1 - least / 2, 0]].every(([right, down]) => reaches(one, x + right, y + down));
        if (!isEnough) faults.push(`${box.width.toFixed(1)} x ${box.height.toFixed(1)}: ${one.outerHTML.slice(0, 90)}`);
    }
    return faults;";

/// Checks pages of one kind, each loaded once.
async fn expect_no_fault(is_meant: impl Fn(&str) -> bool) {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    stop_the_clock(&chromium).await;
    // Animations would take time from the measurements.
    chromium.prefer("light", "reduce").await;
    let mut faults = Vec::new();
    for page in gallery.pages.iter().filter(|page| is_meant(page.name)) {
        gallery.open(&chromium, page).await;
        for font in FONTS {
            chromium.set_font(font).await;
            for width in WIDTHS {
                chromium.resize(width, 900).await;
                let found = chromium.evaluate(FAULTS).await;
                let place = format!("{} {width} px, font {font}", page.name);
                faults.extend(texts(&found).map(|fault| format!("{place}: {fault}")));
            }
        }
        chromium.set_font(FONTS[0]).await;
        for (width, is_phone) in [(320, true), (720, true), (1280, false)] {
            chromium.resize(width, 800).await;
            let found = chromium.driver.execute(SMALL_TARGETS, vec![is_phone.into()]).await.unwrap();
            faults.extend(texts(found.json()).map(|fault| format!("{} {width} px: {fault}", page.name)));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    chromium.stop().await;
    gallery.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_page_of_an_import_texts_stay_apart_and_targets_are_large_enough_for_a_finger() {
    expect_no_fault(|name| name.starts_with("import-")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_every_other_page_texts_stay_apart_and_targets_are_large_enough_for_a_finger() {
    expect_no_fault(|name| !name.starts_with("import-")).await;
}
