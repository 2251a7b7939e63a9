//! Text keeps its room: whatever the width and the size of the browser's font, no two texts overlap and
//! nothing scrolls sideways.

use serde_json::Value;

use crate::{
    chromium::Chromium,
    gallery::{Gallery, stop_the_clock},
};

const WIDTHS: [u32; 4] = [720, 820, 1024, 1280];
/// Root font sizes in pixels: the browser's default, and one that a person has set.
const FONTS: [u32; 2] = [16, 24];

/// The texts that overlap, and what is wider than its room. Texts are measured by their glyph boxes, and those
/// that are hidden, cut off by an ellipsis or scrolled out of sight count only as far as they are seen.
const FAULTS: &str = "
    const isHidden = (element) =>
        element.closest('.visually-hidden, noscript, [hidden]') !== null
        || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    const seen = (element, box) => {
        let { left, top, right, bottom } = box;
        for (let one = element; one && one !== document.body; one = one.parentElement) {
            const style = getComputedStyle(one);
            if (style.position === 'absolute' && style.clipPath !== 'none') return null;
            if (style.overflowX === 'visible' && style.overflowY === 'visible') continue;
            const clip = one.getBoundingClientRect();
            left = Math.max(left, clip.left);
            right = Math.min(right, clip.right);
            top = Math.max(top, clip.top);
            bottom = Math.min(bottom, clip.bottom);
        }
        return right - left > 1 && bottom - top > 1 ? { left, top, right, bottom } : null;
    };
    const boxes = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) {
        if (!node.data.trim() || isHidden(node.parentElement)) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const rect of range.getClientRects()) {
            const box = seen(node.parentElement, rect);
            if (box) boxes.push({ ...box, text: node.data.trim().slice(0, 40), of: node.parentElement });
        }
    }
    for (const shape of document.querySelectorAll('svg.share, .badge, .button')) {
        const box = isHidden(shape) ? null : seen(shape, shape.getBoundingClientRect());
        if (box) boxes.push({ ...box, text: `<${shape.classList[0]}>`, of: shape });
    }
    // Lines of one paragraph share some pixels of their line boxes.
    const slack = 2.5;
    const faults = [];
    boxes.sort((one, other) => one.top - other.top);
    for (const [index, one] of boxes.entries()) {
        for (const other of boxes.slice(index + 1)) {
            if (other.top > one.bottom - slack) break;
            const isWithin = one.of.contains(other.of) || other.of.contains(one.of);
            const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
            const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
            if (!isWithin && wide > 1 && high > slack) faults.push(`${one.text} | ${other.text}`);
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
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) {
        const isMeant = (one) => one.closest('.scroll, pre') !== null || isHidden(one);
        const out = [...document.body.querySelectorAll('*')]
            .filter((one) => !isMeant(one) && one.getBoundingClientRect().right > root.clientWidth + .5)
            .map((one) => `${one.tagName}.${one.classList}`);
        faults.push(`scrolls sideways: ${root.scrollWidth} of ${root.clientWidth}: ${out.slice(-3)}`);
    }
    return faults;";

#[tokio::test(flavor = "multi_thread")]
async fn no_text_is_over_another_and_nothing_scrolls_sideways() {
    let gallery = Gallery::start();
    let chromium = Chromium::start().await;
    stop_the_clock(&chromium).await;
    let mut faults = Vec::new();
    for page in &gallery.pages {
        gallery.open(&chromium, page).await;
        for width in WIDTHS {
            chromium.resize(width, 900).await;
            for font in FONTS {
                chromium.set_font(font).await;
                let found = chromium.evaluate(FAULTS).await;
                let found = found.as_array().unwrap().iter().filter_map(Value::as_str);
                faults.extend(found.map(|fault| format!("{} {width} px, font {font}: {fault}", page.name)));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    chromium.stop().await;
    gallery.stop().await;
}
