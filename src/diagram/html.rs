//! Wraps the picture of a scene in a page that steps through it.

use maud::{DOCTYPE, PreEscaped, html};

use super::{Diagram, svg};
use crate::words;

impl Diagram {
    /// Returns a page of HTML that steps through the picture. It needs nothing else.
    pub fn html(&self) -> String {
        let scene = self.scene();
        let title = words!("A conversation over sockets", "Ein Gespräch über Sockets");
        let last = scene.moments.len();
        let markup = html! {
            (DOCTYPE)
            html lang=(words!("en", "de")) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) }
                    link rel="icon" href="data:,";
                    style { (PreEscaped(include_str!("page.css"))) (PreEscaped(include_str!("picture.css"))) }
                }
                body {
                    header {
                        h1 { (title) }
                        div class="controls" {
                            button id="back" aria-label=(words!("One step back", "Ein Schritt zurück")) { "\u{2190}" }
                            input id="step" type="range" min="1" max=(last) value=(last)
                                aria-label=(words!("Step", "Schritt"));
                            button id="on" aria-label=(words!("One step on", "Ein Schritt weiter")) { "\u{2192}" }
                        }
                        p id="caption" aria-live="polite" {}
                    }
                    main {
                        (PreEscaped(svg::picture(&scene, "")))
                        table {
                            caption { (words!("The same as a table", "Dasselbe als Tabelle")) }
                            thead {
                                tr {
                                    th { "#" }
                                    th { (words!("Observed", "Beobachtet")) }
                                    th { (words!("What happens", "Was geschieht")) }
                                }
                            }
                            tbody {
                                @for (index, moment) in scene.moments.iter().enumerate() {
                                    tr {
                                        td { (index + 1) }
                                        td { (if moment.is_observed { "\u{2713}" } else { "" }) }
                                        td { (scene.caption(moment)) }
                                    }
                                }
                            }
                        }
                    }
                    script { (PreEscaped(include_str!("page.js"))) }
                }
            }
        };
        markup.into_string() + "\n"
    }
}
