//! Pictures of sizes, in a real browser: they can be used by eye, by keyboard and on a phone, on light and dark ground.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;
use tests::browser::{Browser, key};
use tests::report::{input, page, skipped};

/// What has the focus: its accessible name, or its text.
fn focused(browser: &Browser) -> Result<String> {
    let name = browser.run(
        "const on = document.activeElement;
         return on.ariaLabel || on.closest('label')?.innerText || on.innerText || on.tagName;",
    )?;
    Ok(name.as_str().unwrap_or_default().to_owned())
}

/// The way to what the map shows.
fn trail(browser: &Browser) -> Result<Vec<String>> {
    let names =
        browser.run("return [...document.querySelectorAll('#path li')].map((step) => step.innerText)")?;
    Ok(serde_json::from_value(names)?)
}

#[test]
fn the_treemap_is_used_by_keyboard() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let image = "kubelet-v1_26_0-micro-amd64";
    let (_dir, page) = page(&input())?;
    let browser = Browser::open(1280, 900)?;
    browser.go(&page)?;
    // Tab alone reaches everything, the map among it, once.
    let mut met = Vec::new();
    while met.len() < 40 && !met.last().is_some_and(|name: &String| name.starts_with("kubelet, layer")) {
        browser.press(&[key::TAB])?;
        met.push(focused(&browser)?);
    }
    ensure!(
        met.last().is_some_and(|name| name.starts_with("kubelet, layer")),
        "Tab never got to the map: {met:?}"
    );
    for wanted in ["Skip to the matrix", "Auto", "Map"] {
        ensure!(met.iter().any(|name| name.trim() == wanted), "no {wanted} on the way to the map: {met:?}");
    }
    let seen = "return matchMedia('print').matches ? '' : getComputedStyle(document.activeElement).boxShadow";
    ensure!(browser.run(seen)? != "none", "the focus in the map cannot be seen");

    // In: a layer of one component of one file is gone through at once.
    browser.press(&[key::ENTER])?;
    assert_eq!(trail(&browser)?, [image, "kubelet", "kubelet", "/usr/bin/kubelet"]);
    ensure!(focused(&browser)?.starts_with(".text, section, 29.68 MiB"), "{}", focused(&browser)?);
    browser.press(&[key::ENTER])?;
    ensure!(focused(&browser)?.starts_with("k8s.io/api, module"), "{}", focused(&browser)?);
    browser.press(&[key::ENTER])?;
    ensure!(focused(&browser)?.starts_with("k8s.io/api/core/v1, package"), "{}", focused(&browser)?);
    // A package is the end: Enter stays.
    browser.press(&[key::ENTER])?;
    assert_eq!(trail(&browser)?.last().map(String::as_str), Some("k8s.io/api"));

    // Around: what is right of here is right of it on the screen, and back again is where we were.
    let place = "const box = document.activeElement.getBoundingClientRect(); return [box.left, box.top]";
    let place = || -> Result<(f64, f64)> { Ok(serde_json::from_value(browser.run(place)?)?) };
    let (start, first) = (place()?, focused(&browser)?);
    browser.press(&[key::RIGHT])?;
    ensure!(place()?.0 > start.0, "Right did not go right");
    browser.press(&[key::DOWN])?;
    ensure!(place()?.1 > start.1, "Down did not go down");
    browser.press(&[key::UP])?;
    ensure!((place()?.1 - start.1).abs() < 1.0, "Up did not go up");
    browser.press(&[key::LEFT])?;
    assert_eq!(focused(&browser)?, first);
    browser.press(&[key::END])?;
    let last = focused(&browser)?;
    browser.press(&[key::RIGHT, key::DOWN])?;
    assert_eq!(focused(&browser)?, last, "there is nothing beyond the last corner");
    browser.press(&[key::HOME])?;
    assert_eq!(focused(&browser)?, first);

    // Out: to where we came from, each time, and no further than the image.
    browser.press(&[key::ESCAPE])?;
    ensure!(focused(&browser)?.starts_with("k8s.io/api, module"), "{}", focused(&browser)?);
    browser.press(&[key::ESCAPE, key::ESCAPE, key::ESCAPE, key::ESCAPE])?;
    assert_eq!(trail(&browser)?, [image]);
    ensure!(focused(&browser)?.starts_with("kubelet, layer"), "{}", focused(&browser)?);
    assert_eq!(browser.run("return document.getElementById('said').innerText.split(',')[0]")?, image);

    // Shift and Tab: out of the map to the choice of the view; its table has the same.
    browser.press_with(key::SHIFT, key::TAB)?;
    browser.press(&[key::RIGHT])?;
    let rows = browser.run(
        "return [...document.querySelectorAll('#parts tr')].map((row) => [...row.cells].map((cell) => cell.innerText))",
    )?;
    assert_eq!(
        rows,
        json!([
            ["kubelet", "layer", "67,227,568", "64.113", "99.1 %"],
            ["base", "layer", "629,160", "0.600", "0.9 %"],
        ])
    );
    browser.press(&[key::TAB, key::TAB, key::ENTER])?;
    assert_eq!(trail(&browser)?.last().map(String::as_str), Some("/usr/bin/kubelet"));
    ensure!(focused(&browser)?.starts_with(".text"), "{}", focused(&browser)?);

    // Another image.
    browser.run(
        "const image = document.getElementById('image');
         image.selectedIndex = 1; image.dispatchEvent(new Event('change'))",
    )?;
    assert_eq!(trail(&browser)?, ["kubelet-v1_26_0-cni-micro-amd64"]);
    assert_eq!(browser.console()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn tiles_have_areas_in_proportion_and_do_not_overlap() -> Result<()> {
    const GAP: f64 = 2.0;
    if skipped()? {
        return Ok(());
    }
    let (_dir, page) = page(&input())?;
    let browser = Browser::open(1280, 900)?;
    browser.go(&page)?;
    // What is really on the screen, all the way down to packages.
    let tiles = "return [...document.querySelectorAll('.tile')].map((tile) => [
        tile.of.bytes, parseFloat(tile.style.left), parseFloat(tile.style.top),
        parseFloat(tile.style.width), parseFloat(tile.style.height)]);";
    browser.run("document.querySelector('.tile').focus()")?;
    for depth in 0..4 {
        let tiles: Vec<[f64; 5]> = serde_json::from_value(browser.run(tiles)?)?;
        ensure!(tiles.len() >= 2, "{depth}: {} tiles", tiles.len());
        let bytes: f64 = tiles.iter().map(|tile| tile[0]).sum();
        // Between tiles there is a gap.
        let area: f64 = tiles.iter().map(|tile| (tile[3] + GAP) * (tile[4] + GAP)).sum();
        for (index, tile) in tiles.iter().enumerate() {
            let [size, left, top, width, height] = *tile;
            let (found, expected) = ((width + GAP) * (height + GAP), size / bytes * area);
            ensure!((found - expected).abs() <= 0.02 * expected + 8.0, "{depth}: {tile:?}, not {expected}");
            let apart = |other: &[f64; 5]| {
                left + width <= other[1] + 0.01
                    || other[1] + other[3] <= left + 0.01
                    || top + height <= other[2] + 0.01
                    || other[2] + other[4] <= top + 0.01
            };
            let over = tiles[index + 1..].iter().find(|other| !apart(other));
            ensure!(over.is_none(), "{depth}: {tile:?} overlaps {over:?}");
        }
        browser.press(&[key::ENTER])?;
    }
    // The page's own function on some thousands of random cases, extreme ones among them.
    let squarify = fs::read_to_string(tests::root().join("xtask/crates/report/src/page/squarify.js"))?;
    let cases = browser.run(&format!(
        "{squarify}
         let seed = 20260101;
         const random = () => {{ // mulberry32
           seed = (seed + 0x6d2b79f5) | 0;
           let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
           t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
           return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
         }};
         let cases = 0;
         for (; cases < 3000; cases += 1) {{
           const spread = 1 + random() * 16;
           const sizes = Array.from({{ length: 1 + Math.floor(random() * 60) }},
             () => 1 + Math.floor(10 ** (random() * spread))).sort((a, b) => b - a);
           const [x, y, width, height] = [random() * 50, random() * 50, 1 + random() * 2000, 1 + random() * 2000];
           const boxes = squarify(sizes, x, y, width, height);
           const fail = (why) => {{ throw new Error(`${{why}}: ${{JSON.stringify([sizes, x, y, width, height])}}`); }};
           if (boxes.length !== sizes.length) fail('a part is missing');
           const total = sizes.reduce((sum, size) => sum + size, 0);
           const slack = 1e-6 * (width + height);
           let area = 0;
           boxes.forEach((a, index) => {{
             const expected = (sizes[index] / total) * width * height;
             area += a.width * a.height;
             if (!(Math.abs(a.width * a.height - expected) <= 1e-6 * width * height)) fail('wrong area');
             if (!(a.x >= x - slack && a.y >= y - slack && a.x + a.width <= x + width + slack
               && a.y + a.height <= y + height + slack && a.width >= 0 && a.height >= 0)) fail('outside');
             for (const b of boxes.slice(index + 1)) {{
               const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
               const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
               if (across > slack && down > slack) fail('overlap');
             }}
           }});
           if (Math.abs(area - width * height) > 1e-6 * width * height) fail('not filled');
         }}
         return cases;"
    ))?;
    assert_eq!(cases, 3000);
    Ok(())
}

/// Every text that is seen against the ground it stands on: how many there are, and those with too little contrast.
const CONTRASTS: &str = "
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [red, green, blue] = channels(color).slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      const [, , , alpha = 1] = channels(color);
      if (alpha === 1) return color;
      if (alpha !== 0) throw new Error(`a half-transparent ground: ${color}`);
    }
    throw new Error('no ground');
  };
  document.querySelectorAll('details').forEach((details) => { details.open = true; });
  const low = [];
  const colors = new Set();
  let texts = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walk.nextNode(); text; text = walk.nextNode()) {
    const on = text.parentElement;
    if (!text.data.trim() || !on.checkVisibility() || on.closest('script, option, .hidden')) continue;
    const style = getComputedStyle(on);
    const [front, back] = [on instanceof SVGElement ? style.fill : style.color, ground(on)];
    const [a, b] = [luminance(front), luminance(back)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    texts += 1;
    colors.add(front + back);
    if (contrast < 4.5) low.push(`${text.data.trim()}: ${contrast.toFixed(2)}, ${front} on ${back}`);
  }
  return { texts, colors: colors.size, low, paper: getComputedStyle(document.body).backgroundColor };";

#[test]
fn both_grounds_are_painted_and_can_be_read() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let (_dir, page) = page(&input())?;
    let browser = Browser::open(1280, 900)?;
    let mut grounds = Vec::new();
    // What the system says, and what the reader chose against it.
    for (system, chosen) in [("light", "auto"), ("dark", "auto"), ("light", "dark"), ("dark", "light")] {
        browser.prefer(system)?;
        browser.go(&page)?;
        browser.run(&format!("document.querySelector('input[value={chosen}]').click()"))?;
        let found = browser.run(CONTRASTS)?;
        let texts = found["texts"].as_u64().unwrap_or_default();
        ensure!(texts > 500, "only {texts} texts were seen");
        assert_eq!(found["low"], json!([]), "{system}, {chosen}");
        grounds.push(found["paper"].as_str().unwrap_or_default().to_owned());

        // The matrix, the charts, the treemap: none is blank, each is on its ground.
        for section in ["matrix", "newest", "contents"] {
            browser.run(&format!("document.getElementById('{section}').scrollIntoView()"))?;
            let picture = browser.picture()?;
            let brightness = |at: &[u8; 3]| at.iter().map(|value| f64::from(*value)).sum::<f64>() / 3.0;
            #[expect(clippy::cast_precision_loss, reason = "a picture has some million pixels")]
            let mean = picture.pixels.iter().map(brightness).sum::<f64>() / picture.pixels.len() as f64;
            let dark = (system, chosen) == ("dark", "auto") || chosen == "dark";
            ensure!(
                if dark { mean < 90.0 } else { mean > 190.0 },
                "{system}, {chosen}, {section}: brightness {mean}"
            );
            let mut colors = picture.pixels;
            colors.sort_unstable();
            colors.dedup();
            ensure!(colors.len() > 100, "{system}, {chosen}, {section}: {} colours", colors.len());
        }
    }
    let [light, dark, chosen_dark, chosen_light] = &grounds[..] else { unreachable!("four were pushed") };
    ensure!(light != dark && dark == chosen_dark && light == chosen_light, "{grounds:?}");
    // A choice stays for the next visit.
    browser.go(&page)?;
    assert_eq!(browser.run("return document.documentElement.dataset.theme")?, "light");
    Ok(())
}

#[test]
fn a_phone_shows_it_without_scrolling_sideways() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let (_dir, page) = page(&input())?;
    let browser = Browser::open(800, 900)?;
    let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
    browser.ask("Emulation.setDeviceMetricsOverride", &phone)?;
    browser.go(&page)?;
    let widths = browser.run(
        "const wide = [...document.querySelectorAll('body *')].filter((element) =>
           element.checkVisibility() && !element.closest('.scroll *, .hidden, thead')
           && element.getBoundingClientRect().right > innerWidth + 1);
         return [innerWidth, document.documentElement.scrollWidth, wide.map((element) => element.outerHTML.slice(0, 80))];",
    )?;
    assert_eq!(widths, json!([360, 360, []]));
    assert_eq!(browser.picture()?.width, 720);
    // Cells name their columns, and no text is too small to be read.
    let cell = browser.run(
        "return getComputedStyle(document.querySelector('.matrix td'), '::before').content.replaceAll('\"', '')",
    )?;
    assert_eq!(cell, "amd64, compressed");
    let least = browser.run(
        "let least = 100;
         for (const text of document.querySelectorAll('body *')) {
           if (!text.checkVisibility() || text.childElementCount || !text.textContent.trim()) continue;
           if (text.closest('script, sup')) continue;
           const box = text.ownerSVGElement;
           const scale = box ? box.getBoundingClientRect().width / box.viewBox.baseVal.width : 1;
           least = Math.min(least, parseFloat(getComputedStyle(text).fontSize) * scale);
         }
         return least",
    )?;
    ensure!(
        least.as_f64().is_some_and(|pixels| (9.5..20.0).contains(&pixels)),
        "the smallest text has {least} px"
    );
    Ok(())
}

#[test]
fn the_chart_is_a_picture_on_both_grounds() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let browser = Browser::open(860, 460)?;
    let chart = tests::root().join("docs/sizes.svg");
    let mut brightness = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme)?;
        browser.go(&chart)?;
        assert_eq!(browser.run("return document.documentElement.tagName")?, "svg");
        let picture = browser.picture()?;
        // The ground of the chart itself, left of its bars.
        brightness.push(picture.pixels[picture.width * 200 + 12]);
    }
    assert_eq!(brightness, [[0xFF, 0xFF, 0xFF], [0x0D, 0x11, 0x17]]);
    assert_eq!(browser.console()?, Vec::<String>::new());
    Ok(())
}
