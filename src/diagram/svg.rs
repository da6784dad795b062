//! Draws a scene as SVG.

use maud::{Markup, PreEscaped, html};

use super::scene::{Bar, Gauge, Lane, Moment, Scene, Sort};
use crate::words;
use crate::wrap::max_width;

/// The style of a picture, light and dark.
const STYLE: &str = include_str!("picture.css");

/// Distances, in pixels: of a program from its kernel, of two kernels, of the first lane from the
/// edge, of two moments, of the first moment from the top, and how much a packet's arrow slants.
const CALL: usize = 210;
const NETWORK: usize = 310;
const EDGE: usize = 90;
const ROW: usize = 48;
const TOP: usize = 86;
const SLANT: usize = 22;

/// About how wide a character is.
const CHAR: usize = 7;

/// Returns `scene` as a file.
pub(super) fn file(scene: &Scene) -> String {
    let header = PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let style = PreEscaped(STYLE);
    let markup = html! { (header) (picture(scene, Some(style))) };
    markup.into_string() + "\n"
}

/// Returns `scene` as an element of SVG, with this `style` unless the page around it has one.
pub(super) fn picture(scene: &Scene, style: Option<PreEscaped<&str>>) -> Markup {
    let width = x(scene.lanes.len().saturating_sub(1)) + EDGE;
    let bottom = y(scene.moments.len());
    let height = bottom + 2 * ROW;
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) }
            width=(width) height=(height) role="img"
            aria-label=(words!("What the programs and their kernels did", "Was die Programme und ihre Kernel taten")) {
            @if let Some(style) = style {
                style { (style) }
            }
            defs {
                marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="11" markerHeight="11"
                    markerUnits="userSpaceOnUse"
                    orient="auto-start-reverse" {
                    path class="head" d="M0 0 L8 4 L0 8 z" {}
                }
            }
            rect class="page" width=(width) height=(height) {}
            @for (index, lane) in scene.lanes.iter().enumerate() {
                (lifeline(x(index), bottom, lane))
            }
            @for bar in &scene.bars { (bar_of(scene, bar)) }
            @for (index, moment) in scene.moments.iter().enumerate() {
                g data-step=(index + 1) {
                    title { (text(&scene.caption(moment))) }
                    (moment_of(index, moment))
                }
            }
            (legend(bottom + ROW))
        }
    }
}

/// Returns the position of a lane. Each program stands beside its kernel.
fn x(lane: usize) -> usize {
    EDGE + lane / 2 * (CALL + NETWORK) + lane % 2 * CALL
}

/// Returns the position of the moment with this index.
fn y(moment: usize) -> usize {
    TOP + moment * ROW
}

fn lifeline(x: usize, bottom: usize, lane: &Lane) -> Markup {
    let class = if lane.is_kernel { "kernel" } else { "program" };
    html! {
        g class=(class) {
            rect class="name" x=(x - 80) y="14" width="160" height="30" rx="6" {}
            text x=(x) y="34" text-anchor="middle" { (text(&lane.name)) }
            line class="life" x1=(x) y1="44" x2=(x) y2=(bottom) {}
        }
    }
}

fn bar_of(scene: &Scene, bar: &Bar) -> Markup {
    let x = x(bar.lane);
    let (top, bottom) = (y(bar.first) + 8, y(bar.last).max(y(bar.first) + 20));
    // The bar of a server stands at its right, so that no arrow crosses its name.
    let is_last = bar.lane + 1 == scene.lanes.len();
    let (at, anchor) = if is_last {
        (x + 10, "start")
    } else {
        (x - 10, "end")
    };
    html! {
        g class=(class("bar", bar.is_observed)) data-from=(bar.first + 1) data-to=(bar.last + 1) {
            rect x=(x - 6) y=(top) width="12" height=(bottom - top) rx="3" {}
            text x=(at) y=(usize::midpoint(top, bottom) + 4) text-anchor=(anchor) { (text(&bar.call)) }
        }
    }
}

fn moment_of(index: usize, moment: &Moment) -> Markup {
    let y = y(index);
    let (from, to) = (x(moment.from), x(moment.to));
    if moment.kind == Sort::Note {
        // Beside the program, on the side of its kernel.
        let is_client = moment.from.is_multiple_of(2);
        let (at, anchor) = if is_client {
            (from + 12, "start")
        } else {
            (from - 12, "end")
        };
        return html! {
            text class="note" x=(at) y=(y + 4) text-anchor=(anchor) { (text(&moment.label)) }
        };
    }
    let (class, slant) = match moment.kind {
        Sort::Packet => (class("packet", moment.is_observed), SLANT),
        _ => (class("call", moment.is_observed), 0),
    };
    let middle = usize::midpoint(from, to);
    html! {
        g class=(class) {
            line x1=(from) y1=(y) x2=(to) y2=(y + slant) marker-end="url(#head)" {}
            text x=(middle) y=(y - 5) text-anchor="middle" { (text(&moment.label)) }
            @if !moment.hex.is_empty() {
                text class="hex" x=(middle) y=(y + slant / 2 + 14) text-anchor="middle" { (moment.hex) }
            }
        }
        @if let Some(gauge) = &moment.gauge {
            (gauge_of(y + slant + 7, gauge))
        }
    }
}

/// The gauge stands between the two kernels, where no call crosses it.
fn gauge_of(y: usize, gauge: &Gauge) -> Markup {
    let width = max_width(&gauge.text) * CHAR + 12;
    let is_at_server = gauge.lane.is_multiple_of(2);
    let left = if is_at_server {
        x(gauge.lane).saturating_sub(width + 8)
    } else {
        x(gauge.lane) + 8
    };
    let class = if gauge.is_warning {
        "gauge warning"
    } else {
        "gauge"
    };
    html! {
        g class=(class) {
            rect x=(left) y=(y) width=(width) height="17" rx="3" {}
            text x=(left + width / 2) y=(y + 13) text-anchor="middle" { (text(&gauge.text)) }
        }
    }
}

fn legend(y: usize) -> Markup {
    let observed = words!("in a transcript", "in einem Protokoll");
    let inferred = words!(
        "inferred: nobody has observed it",
        "erschlossen: niemand hat es beobachtet"
    );
    html! {
        g class="legend" {
            line class="seen" x1=(EDGE) y1=(y) x2=(EDGE + 40) y2=(y) {}
            text x=(EDGE + 48) y=(y + 4) { (observed) }
            line class="inferred" x1=(EDGE + 240) y1=(y) x2=(EDGE + 280) y2=(y) {}
            text x=(EDGE + 288) y=(y + 4) { (inferred) }
        }
    }
}

fn class(kind: &str, is_observed: bool) -> String {
    let how = if is_observed { "seen" } else { "inferred" };
    format!("{kind} {how}")
}

/// Returns `text` without the characters that XML has no place for (XML 1.0, section 2.2), and that
/// [`crate::sanitize`] leaves.
fn text(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
