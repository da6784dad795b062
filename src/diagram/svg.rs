//! Draws a scene as SVG.

use maud::{Markup, PreEscaped, html};

use super::Diagram;
use super::scene::{Bar, Gauge, Moment, Scene};
use crate::sanitize::Untrusted;
use crate::words;
use crate::wrap::max_width;

/// Distances, in pixels: of a program from its kernel, of the server's kernel from the others, of a
/// client from another's kernel, of the first lane from the edge, of two moments, of the first moment
/// from the top, and how much a packet's arrow slants.
const CALL: usize = 210;
const NETWORK: usize = 310;
const CLIENTS: usize = 170;
const EDGE: usize = 90;
const ROW: usize = 48;
const TOP: usize = 86;
const SLANT: usize = 22;

/// About how wide a character is, in quarters of a pixel.
const CHAR: usize = 29;

/// The maximum number of columns above or below a call's arrow.
const LABEL: usize = 28;

impl Diagram {
    /// Returns the picture as SVG, a file of its own.
    pub fn svg(&self) -> String {
        let picture = picture(&self.scene(), include_str!("picture.css"));
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{picture}\n")
    }
}

/// Returns `scene` as an element of SVG, with this `style` unless it is empty.
pub(super) fn picture(scene: &Scene, style: &str) -> String {
    let width = x(scene, scene.lanes.len() - 1) + EDGE;
    let bottom = y(scene.moments.len());
    let height = bottom + 2 * ROW;
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) }
            width=(width) height=(height) role="img"
            aria-label=(words!("What the programs and their kernels did", "Was die Programme und ihre Kernel taten")) {
            @if !style.is_empty() {
                style { (PreEscaped(style)) }
            }
            defs {
                marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="11" markerHeight="11"
                    markerUnits="userSpaceOnUse"
                    orient="auto-start-reverse" {
                    path class="head" d="M0 0 L8 4 L0 8 z" {}
                }
            }
            rect class="page" width=(width) height=(height) {}
            @for lane in 0..scene.lanes.len() { (lifeline(scene, lane, bottom)) }
            @for bar in &scene.bars { (bar_of(scene, bar)) }
            @for (index, moment) in scene.moments.iter().enumerate() {
                g data-step=(index + 1) {
                    title { (scene.caption(moment)) }
                    (moment_of(scene, y(index), moment))
                }
            }
            (legend(bottom + ROW))
        }
    };
    // XML has no place for these (XML 1.0, section 2.2), and `sanitize` leaves them. A single character
    // is found at the speed of memory.
    let picture = picture.into_string().replace('\u{fffe}', "\u{fffd}");
    picture.replace('\u{ffff}', "\u{fffd}")
}

/// Returns the position of a lane. Each program stands beside its kernel.
fn x(scene: &Scene, lane: usize) -> usize {
    let pair = lane / 2;
    let is_server = pair + 1 == scene.lanes.len() / 2;
    let network = if is_server && pair > 0 {
        NETWORK - CLIENTS
    } else {
        0
    };
    EDGE + pair * (CALL + CLIENTS) + network + lane % 2 * CALL
}

/// Returns the position of the moment with this index.
fn y(moment: usize) -> usize {
    TOP + moment * ROW
}

/// Returns whether a lane stands at the left of its pair, as a client and the server's kernel do.
fn is_left(lane: usize) -> bool {
    lane.is_multiple_of(2)
}

fn lifeline(scene: &Scene, lane: usize, bottom: usize) -> Markup {
    let x = x(scene, lane);
    let is_server = lane + 2 >= scene.lanes.len();
    let class = if is_left(lane) == is_server {
        "kernel"
    } else {
        "program"
    };
    html! {
        g class=(class) {
            rect class="name" x=(x - 80) y="14" width="160" height="30" rx="6" {}
            text x=(x) y="34" text-anchor="middle" { (scene.lanes[lane]) }
            line class="life" x1=(x) y1="44" x2=(x) y2=(bottom) {}
        }
    }
}

fn bar_of(scene: &Scene, bar: &Bar) -> Markup {
    let x = x(scene, bar.lane);
    let (top, bottom) = (y(bar.first) + 8, y(bar.last).max(y(bar.first) + 20));
    // The bar of a server stands at its right, so that no arrow crosses its name.
    let (at, anchor) = if is_left(bar.lane) {
        (x - 10, "end")
    } else {
        (x + 10, "start")
    };
    html! {
        g class={ "bar " (how(bar.is_observed)) } data-from=(bar.first + 1) data-to=(bar.last + 1) {
            rect x=(x - 6) y=(top) width="12" height=(bottom - top) rx="3" {}
            text x=(at) y=(usize::midpoint(top, bottom) + 4) text-anchor=(anchor) { (bar.call) }
        }
    }
}

fn moment_of(scene: &Scene, y: usize, moment: &Moment) -> Markup {
    let (from, to) = (x(scene, moment.from), x(scene, moment.to));
    if from == to {
        return note(from, y, moment);
    }
    let is_call = moment.from / 2 == moment.to / 2;
    let slant = if is_call { 0 } else { SLANT };
    let kind = if is_call { "call " } else { "packet " };
    html! {
        g class={ (kind) (how(moment.is_observed)) } {
            line x1=(from) y1=(y) x2=(to) y2=(y + slant) marker-end="url(#head)" {}
            (if is_call { call(from, to, y, moment) } else { packet(from, to, y, moment) })
        }
        @if let Some(gauge) = &moment.gauge {
            (gauge_of(scene, y + slant + 7, gauge))
        }
    }
}

/// A note stands beside its program, on the side of the kernel.
fn note(x: usize, y: usize, moment: &Moment) -> Markup {
    let (at, anchor) = if is_left(moment.from) {
        (x + 12, "start")
    } else {
        (x - 12, "end")
    };
    html! { text class="note" x=(at) y=(y + 4) text-anchor=(anchor) { (moment.label) } }
}

/// A call is a level arrow. A result for which there is no room behind the call stands below it.
fn call(from: usize, to: usize, y: usize, moment: &Moment) -> Markup {
    let middle = usize::midpoint(from, to);
    let is_long = max_width(&moment.label) > LABEL;
    let result = moment.label.find(" \u{2192} ").filter(|_| is_long);
    let (call, result) = moment.label.split_at(result.unwrap_or(moment.label.len()));
    let fit = |text: &str| Untrusted(text.as_bytes()).visible_line(LABEL);
    html! {
        text x=(middle) y=(y - 5) text-anchor="middle" { (fit(call)) }
        @if !result.is_empty() {
            text x=(middle) y=(y + 15) text-anchor="middle" { (fit(result.trim())) }
        }
    }
}

/// A packet takes time, so that its arrow slants. What it holds stands where all packets pass: the text
/// in the middle, and the bytes nearer to its sender, where the arrow is higher.
fn packet(from: usize, to: usize, y: usize, moment: &Moment) -> Markup {
    let server = from.max(to);
    let middle = server - NETWORK / 2;
    let (left, right) = (server - NETWORK * 2 / 3, server - NETWORK / 3);
    let hex = if from < to { left } else { right };
    // How far down the arrow is there.
    let down = |x: usize| x.abs_diff(from) * SLANT / to.abs_diff(from);
    html! {
        text x=(middle) y=(y + down(middle) - 16) text-anchor="middle" { (moment.label) }
        @if !moment.hex.is_empty() {
            text class="hex" x=(hex) y=(y + down(hex) + 18) text-anchor="middle" { (moment.hex) }
        }
    }
}

/// The gauge stands between the two kernels, where no call crosses it.
fn gauge_of(scene: &Scene, y: usize, gauge: &Gauge) -> Markup {
    let width = max_width(&gauge.text) * CHAR / 4 + 12;
    let x = x(scene, gauge.lane);
    let left = if is_left(gauge.lane) {
        x.saturating_sub(width + 8)
    } else {
        x + 8
    };
    html! {
        g class={ "gauge" (if gauge.is_warning { " warning" } else { "" }) } {
            rect x=(left) y=(y) width=(width) height="17" rx="3" {}
            text x=(left + width / 2) y=(y + 13) text-anchor="middle" { (gauge.text) }
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

/// Returns the class of what a transcript tells or not.
fn how(is_observed: bool) -> &'static str {
    if is_observed { "seen" } else { "inferred" }
}
