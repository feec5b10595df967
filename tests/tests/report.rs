//! Pictures of sizes, in a real browser: the page says what its input says, needs nothing but itself, and takes no bad
//! input.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::{Value, json};
use tests::browser::{Browser, key};
use tests::report::{self, input, page, read, skipped};
use tests::{scratch, xtask};

#[test]
fn the_page_asks_for_nothing_and_complains_of_nothing() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let (_dir, page) = page(&input())?;
    let browser = Browser::open(1280, 900)?;
    browser.go(&page)?;
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")?;
    browser.press(&[key::TAB, key::TAB, key::RIGHT])?;
    assert_eq!(browser.console()?, Vec::<String>::new());
    assert_eq!(browser.requests()?, [format!("file://{}", page.display())]);

    // What a name that became markup could try is refused by the policy, in so many words.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let tries = "const done = arguments[0], refused = [];
         document.addEventListener('securitypolicyviolation', (event) => {
           refused.push(event.effectiveDirective);
           if (refused.length === 5) done(refused.sort());
         });
         setTimeout(() => done(refused.sort()), 20000);
         document.body.insertAdjacentHTML('beforeend',
           '<img src=\"http://127.0.0.1:9/x\" onerror=\"document.title = `no`\"><p style=\"color: red\">');
         document.body.append(Object.assign(document.createElement('script'), { textContent: 'document.title = `no`' }));
         fetch('http://127.0.0.1:9/x').catch(() => {});";
    let address = listener.local_addr()?.to_string();
    let refused = browser.run_async(&tries.replace("127.0.0.1:9", &address))?;
    assert_eq!(
        refused,
        json!(["connect-src", "img-src", "script-src-attr", "script-src-elem", "style-src-attr"])
    );
    assert_eq!(browser.run("return document.title")?, "Sizes of the kubelet images");
    ensure!(
        listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "something was asked for"
    );
    Ok(())
}

#[test]
fn the_cells_are_those_of_the_input() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let input = read(&input())?;
    let (_dir, page) = page(&report::input())?;
    let browser = Browser::open(1280, 900)?;
    browser.go(&page)?;
    let shown = browser.run(
        "const cells = [];
         for (const table of document.querySelectorAll('.matrix')) {
           const base = table.caption.textContent.split(' ').pop();
           const arches = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
           for (const body of table.tBodies) {
             for (const row of [...body.rows].slice(1)) {
               arches.forEach((arch, index) => {
                 const of = (cell) => ({
                   ours: cell.querySelector('.ours').textContent,
                   published: cell.querySelector('.published').textContent,
                   ratio: (cell.querySelector('.ratio')?.innerText ?? '').match(/\\d+ %/)?.[0] ?? null,
                   counted: !(cell.querySelector('.ratio')?.textContent ?? '○').includes('○'),
                   note: cell.querySelector('.note')?.textContent ?? null,
                 });
                 cells.push({
                   release: body.rows[0].textContent, variant: row.cells[0].textContent, base, arch,
                   compressed: of(row.cells[1 + 2 * index]), extracted: of(row.cells[2 + 2 * index]),
                 });
               });
             }
           }
         }
         return cells;",
    )?;
    let mut shown: Vec<Value> = shown.as_array().context("no cells")?.clone();
    let cells = input["matrix"]["cells"].as_array().context("no cells")?;
    let mut expected: Vec<Value> = cells.iter().map(as_shown).collect();
    ensure!(expected.len() >= 90 && expected.iter().any(|cell| cell["compressed"]["ours"] == "19.33"));
    for list in [&mut shown, &mut expected] {
        list.sort_by_key(ToString::to_string);
    }
    assert_eq!(shown, expected);
    Ok(())
}

/// A cell of the input as the page is to show it, computed here once more.
fn as_shown(cell: &Value) -> Value {
    let counted = cell["counted"].as_bool().unwrap_or_default();
    let figures = |measure: &str| {
        let ours = cell["ours"][measure].as_f64().map(|bytes| bytes / 1_048_576.0);
        let published = cell["published"][measure].as_f64();
        let ratio =
            ours.zip(published).map(|(ours, published)| format!("{} %", (100.0 * ours / published).ceil()));
        json!({
            "ours": ours.map_or("not built".to_owned(), |mib| format!("{mib:.2}")),
            "published": published.map_or("not published".to_owned(), |mib| format!("{mib:.2}")),
            "ratio": ratio,
            "counted": counted,
            "note": cell["note"],
        })
    };
    json!({
        "release": cell["release"], "variant": cell["variant"], "base": cell["base"], "arch": cell["arch"],
        "compressed": figures("compressed"), "extracted": figures("extracted"),
    })
}

#[test]
fn hostile_names_are_shown_as_they_are() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let hostile = "</script><script>document.title='no'</script><img src=x onerror=\"document.title='no'\">\u{1}&lt;'\"\u{2028}]]>${1}";
    let mut input = read(&report::input())?;
    for cell in input["matrix"]["cells"].as_array_mut().context("no cells")? {
        cell["note"] = hostile.into();
        cell["variant"] = format!("{}{hostile}", cell["variant"]).into();
    }
    for record in input["history"]["records"].as_array_mut().context("no records")? {
        record["name"] = hostile.into();
    }
    input["revision"] = hostile.into();
    let child = json!({"name": hostile, "kind": "file", "bytes": 7});
    let other = json!({"name": "__proto__", "kind": "file", "bytes": 3});
    input["images"] = json!([{"name": hostile, "kind": "image", "bytes": 12, "children": [child, other]}]);
    let dir = scratch::dir()?;
    let file = dir.path().join("hostile.json");
    fs::write(&file, serde_json::to_vec(&input)?)?;
    let (_dir, page) = page(&file)?;
    let browser = Browser::open(1280, 900)?;
    browser.go(&page)?;
    let shown = browser.run(
        "return [document.title, document.images.length, document.scripts.length,
           document.querySelector('header strong').textContent, document.querySelector('#image').value,
           document.querySelector('#image').selectedOptions[0].textContent,
           [...document.querySelectorAll('.tile')].map((tile) => tile.ariaLabel.split(', ')[0])]",
    )?;
    let title = "Sizes of the kubelet images";
    assert_eq!(shown, json!([title, 0, 2, hostile, "0", hostile, [hostile, "__proto__", "(the rest)"]]));
    assert_eq!(browser.console()?, Vec::<String>::new());
    assert_eq!(browser.requests()?.len(), 1);
    Ok(())
}

#[test]
fn saved_figures_give_the_same_page_again() -> Result<()> {
    let (dir, first) = page(&input())?;
    let from = input();
    let xtask = xtask::Xtask::new()?;
    let saved = dir.path().join("saved.json");
    fs::write(
        &saved,
        xtask.ok(&["size", "report", "--json", "--input", from.to_str().context("not UTF-8")?])?,
    )?;
    let (_dir, second) = page(&saved)?;
    ensure!(fs::read(&first)? == fs::read(&second)?, "the page of the saved figures is another");
    let told = xtask.ok(&["size", "report", "--input", from.to_str().context("not UTF-8")?])?;
    ensure!(told.starts_with("micro: 0.6") && told.contains("over 9 images of 15 built"), "{told}");
    Ok(())
}

#[test]
fn a_chart_that_is_out_of_date_is_found() -> Result<()> {
    let scratch = scratch::dir()?;
    let checkout = scratch.path().join("checkout");
    fs::create_dir_all(checkout.join("images"))?;
    fs::create_dir_all(checkout.join("docs"))?;
    fs::copy(tests::root().join("images/catalog.toml"), checkout.join("images/catalog.toml"))?;
    let from = input();
    let from = from.to_str().context("not UTF-8")?;
    let (draw, check) = (["size", "chart", "--input", from], ["size", "chart", "--check", "--input", from]);
    let xtask = xtask::Xtask::new()?.cwd(&checkout);
    xtask.fails(&check, Kind::Stale, &["docs/sizes.svg is missing", "cargo xtask size chart"])?;
    xtask.ok(&draw)?;
    xtask.ok(&check)?;
    let chart = checkout.join("docs/sizes.svg");
    let drawn = fs::read_to_string(&chart)?;
    fs::write(&chart, drawn.replacen("19.3", "19.2", 1))?;
    xtask.fails(&check, Kind::Stale, &["docs/sizes.svg is not what the sizes give"])?;
    xtask.ok(&draw)?;
    assert_eq!(fs::read_to_string(&chart)?, drawn);
    Ok(())
}

#[test]
fn bad_figures_are_refused() -> Result<()> {
    let dir = scratch::dir()?;
    let file = dir.path().join("bad.json");
    let name = file.to_str().context("not UTF-8")?;
    let xtask = xtask::Xtask::new()?;
    xtask.fails(&["size", "report", "--html", "--input", name], Kind::NotFound, &["no file", name])?;
    for (json, word) in [
        ("{", "EOF"),
        (r#"{"version":1,"matrix":{"cells":[]},"imags":[]}"#, "imags"),
        (
            r#"{"version":1,"matrix":{"cells":[]},"images":[{"name":"i","kind":"image","bytes":1,"children":[{"name":"x","kind":"file","bytes":2}]}]}"#,
            "its parts have more",
        ),
    ] {
        fs::write(&file, json)?;
        xtask.fails(&["size", "report", "--html", "--input", name], Kind::InvalidData, &[name, word])?;
    }
    Ok(())
}
