//! The pictures that `diagram` draws, from the transcripts of two real programs, and in a real browser.

mod common;

use std::fs::File;
use std::path::Path;
use std::process::Command;

use common::{Piped, home};
use tempfile::TempDir;

/// Lets two programs talk, with hostile words. Returns the paths of their transcripts.
fn talk(folder: &TempDir) -> [String; 2] {
    let paths = ["server", "client"].map(|name| {
        let path = folder.path().join(format!("{name}.jsonl"));
        path.to_str().unwrap().to_owned()
    });
    let args = |path| ["--explain", "--framing", "line", "--transcript", path];
    let (mut server, port) = Piped::serve(&args(&paths[0]));
    // Long enough for the server to stand in each call.
    let stands_in = |server: &mut Piped, call: &str| {
        let line = format!("{call:32} waits");
        server.stderr.wait_for("the wait", |bytes| {
            String::from_utf8_lossy(bytes).contains(&line).then_some(())
        });
    };
    stands_in(&mut server, "accept()");
    let mut client = Piped::connect(port, &args(&paths[1]));
    stands_in(&mut server, "recv(65536)");
    client.write("</script><script>document.title='evil'</script>\n");
    server
        .stdout
        .wait_for("it", |bytes| bytes.ends_with(b"\n").then_some(()));
    server.write("gr\u{fc}ezi\n");
    client.expect("Received from server: gr\u{fc}ezi\n");
    client.close_stdin();
    client.finish(0);
    server.finish(0);
    paths
}

fn draw(format: &str, paths: &[&str]) -> String {
    let process = Piped::start([&["diagram", "--format", format], paths].concat());
    process.finish(0).0
}

#[test]
fn a_picture_shows_both_programs_and_their_kernels() {
    let folder = home();
    let paths = talk(&folder);
    let svg = draw("svg", &[&paths[0], &paths[1]]);
    let picture = roxmltree::Document::parse(&svg).unwrap();
    let texts: Vec<_> = picture
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")))
        .filter_map(|node| node.text())
        .collect();
    assert_eq!(
        texts[..4],
        ["client", "client's kernel", "server's kernel", "server"]
    );
    for text in [
        "SYN",
        "backlog 1 / 3",
        "accept()",
        "recv()",
        "\"gr\u{fc}ezi\" (8 B)",
        "67 72 c3 bc 65 7a 69",
        "buffer 8 B",
        "FIN",
        "recv(65536) \u{2192} 0",
    ] {
        assert!(texts.contains(&text), "{text}: {texts:?}");
    }
    // Nothing of it has to be inferred but what passes between the kernels.
    let inferred = picture.descendants().filter(|node| {
        let class = node.attribute("class");
        class.is_some_and(|class| class.contains("inferred") && !class.contains("packet"))
    });
    assert_eq!(inferred.count(), 1, "the legend alone");
    // Without the other's transcript, its side is.
    let svg = draw("svg", &[&paths[0]]);
    assert!(svg.contains("call inferred"));
}

/// A browser without a window, in a home of its own.
fn chromium(folder: &TempDir, args: &[&str]) -> (String, String) {
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("browser").display()
        ))
        .args(args);
    let mut browser = Piped::spawn(command);
    assert!(
        browser.exits_within(common::DEADLINE * 2),
        "it does not end"
    );
    assert!(browser.exit().success());
    browser.finish_any()
}

/// A pixel of a screenshot.
type Pixel = [u8; 3];

/// The size of a screenshot, and its pixels.
fn pixels(path: &Path) -> (usize, Vec<Pixel>) {
    let decoder = png::Decoder::new(std::io::BufReader::new(File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let channels = info.color_type.samples();
    let pixels = bytes[..info.buffer_size()].chunks(channels);
    let pixels = pixels.map(|pixel| [pixel[0], pixel[1], pixel[2]]);
    (info.width as usize, pixels.collect())
}

#[test]
#[ignore = "needs chromium"]
fn the_page_opens_in_a_browser_and_steps_through_the_picture() {
    let folder = home();
    let paths = talk(&folder);
    let page = folder.path().join("page.html");
    std::fs::write(&page, draw("html", &[&paths[0], &paths[1]])).unwrap();
    let url = format!("file://{}#step=3", page.display());

    let (dom, stderr) = chromium(&folder, &["--dump-dom", &url]);
    assert!(!stderr.contains("CONSOLE"), "{stderr}");
    assert!(
        dom.contains("<title>A conversation over sockets</title>"),
        "{dom}"
    );
    // The script has run.
    assert!(dom.contains("<g data-step=\"3\" class=\"now\">"), "{dom}");
    assert!(dom.contains("<g data-step=\"4\" class=\"later\">"), "{dom}");
    let caption = dom.split("aria-live=\"polite\">").nth(1).unwrap();
    assert!(
        caption.starts_with("3 /")
            && caption.contains("client's kernel \u{2192} server's kernel: SYN"),
        "{caption}"
    );
    // What was said is text.
    assert!(dom.contains("&lt;/script&gt;&lt;script&gt;"), "{dom}");
    assert_eq!(dom.matches("<script").count(), 1);

    // The parts have their colours, light and dark.
    let colours = [
        ([0xff, 0xff, 0xff], [0x1f, 0x6f, 0xeb], [0x8a, 0x5c, 0xf6]),
        ([0x12, 0x16, 0x1d], [0x6c, 0xb0, 0xff], [0xb7, 0x9b, 0xff]),
    ];
    for (mode, (paper, program, kernel)) in [&[][..], &["--force-dark-mode"]].iter().zip(colours) {
        let file = folder.path().join("shot.png");
        let shot = format!("--screenshot={}", file.display());
        let args = ["--window-size=960,1300", &shot, &url];
        let (_, stderr) = chromium(&folder, &[*mode, &args].concat());
        assert!(!stderr.contains("CONSOLE"), "{stderr}");
        let (width, pixels) = pixels(&file);
        let count = |colour: Pixel| pixels.iter().filter(|pixel| **pixel == colour).count();
        assert!(count(paper) > pixels.len() / 2, "{mode:?}");
        // The lifelines: columns with the colour of a program or kernel for most of their height.
        let columns_of = |colour: Pixel| {
            let mut columns: Vec<usize> = Vec::new();
            for x in 0..width {
                let column = pixels.iter().skip(x).step_by(width);
                if column.filter(|pixel| **pixel == colour).count() > 300
                    && columns.last().is_none_or(|last| x > last + 20)
                {
                    columns.push(x);
                }
            }
            columns
        };
        let (programs, kernels) = (columns_of(program), columns_of(kernel));
        assert_eq!(
            (programs.len(), kernels.len()),
            (2, 2),
            "{programs:?} {kernels:?}"
        );
        assert!(programs[0] < kernels[0] && kernels[1] < programs[1]);
    }
}

#[test]
#[ignore = "needs chromium"]
fn the_page_follows_keys_buttons_and_the_slider() {
    /// Uses the page as a person does, and puts into its title which step is shown after each action,
    /// and whether it is in sight.
    const PERSON: &str = r#"<script>
const told = [];
function tell() {
  const step = document.querySelector("g.now").dataset.step;
  const place = document.querySelector("g.now").getBoundingClientRect();
  const top = document.querySelector("header").getBoundingClientRect().bottom;
  told.push(step + (place.top >= top && place.bottom <= innerHeight ? "" : " out of sight"));
}
function press(key, more) {
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
  tell();
}
tell();
press("ArrowLeft");
press("ArrowLeft");
press("ArrowRight");
press("ArrowLeft", { altKey: true });
document.getElementById("back").click();
tell();
document.getElementById("on").click();
tell();
slider.value = 5;
slider.dispatchEvent(new Event("input"));
tell();
for (let i = 0; i < 300; i++) press("ArrowLeft");
document.title = told.slice(0, 8).join() + ";" + told.at(-1);
</script></body>"#;
    let folder = home();
    let paths = talk(&folder);
    let html = draw("html", &[&paths[0], &paths[1]]);
    let page = folder.path().join("page.html");
    std::fs::write(&page, html.replace("</body>", PERSON)).unwrap();
    let title = |step: &str| {
        let url = format!("file://{}{step}", page.display());
        let args = ["--window-size=960,500", "--dump-dom", &url];
        let (dom, stderr) = chromium(&folder, &args);
        assert!(!stderr.contains("CONSOLE"), "{stderr}");
        let title = dom.split("<title>").nth(1).unwrap();
        title.split("</title>").next().unwrap().to_owned()
    };
    assert_eq!(title("#step=12"), "12,11,10,11,11,10,11,5;1");
    // Without a step, all is shown from its start.
    let last = html.matches("data-step=").count();
    assert!(title("").starts_with(&format!("{last} out of sight,{},", last - 1)));
}
