use super::*;

fn method(pack: Pack, bytes: u64, gzip: u64, start: f64) -> Method {
    let start = Start { program: "bridge".into(), runs: 30, best_ms: start, median_ms: start * 1.25 };
    let figures = Figures { bytes, gzip, zstd: gzip * 4 / 5, starts: vec![start] };
    Method { pack, figures: Some(figures), refused: None }
}

fn report(methods: Vec<Method>) -> String {
    let report = Report {
        version: 1,
        component: "cni".into(),
        release: "v1.26.0".into(),
        arch: "amd64".into(),
        programs: vec!["bridge".into()],
        upx: "4.2.4".into(),
        gzip_encoder: "libdeflate 1/12".into(),
        zstd_encoder: "zstd 1/22".into(),
        policy: Pack::None,
        advice: Advice::on(&methods),
        methods,
    };
    report.table()
}

#[test]
fn no_packing_where_it_loses() {
    let methods = vec![
        method(Pack::None, 10_600_574, 4_083_362, 6.0),
        method(Pack::Nrv, 4_303_688, 4_290_000, 59.0),
        method(Pack::Lzma, 3_293_852, 3_290_000, 359.0),
    ];
    insta::assert_snapshot!(report(methods), @r"
    cni v1.26.0 amd64: bridge
    packed by UPX 4.2.4; gzip: libdeflate 1/12; zstd: zstd 1/22

    pack         extracted          gzip          zstd
    none *      10,600,574     4,083,362     3,266,689
    nrv          4,303,688     4,290,000     3,432,000
    lzma         3,293,852     3,290,000     2,632,000
    * the policy in images/catalog.toml

    start, ms    none best/median     nrv best/median    lzma best/median
    bridge              6.0 / 7.5         59.0 / 73.8       359.0 / 448.8

    recommended: none, as in the catalog
      nrv: no, it costs 206,638 bytes more to pull and saves 6,296,886 bytes extracted
      lzma: no, it saves 793,362 bytes to pull and saves 7,306,722 bytes extracted, but a start of bridge takes 59.8 times as long (359.0 ms, plain 6.0 ms); 1.5 times is the limit
    ");
}

#[test]
fn what_gains_and_costs_nothing_is_recommended() {
    let methods = vec![
        method(Pack::None, 1_000, 500, 6.0),
        method(Pack::Nrv, 490, 480, 7.0),
        Method { pack: Pack::Lzma, figures: None, refused: Some("`upx` failed".into()) },
    ];
    insta::assert_snapshot!(report(methods), @r"
    cni v1.26.0 amd64: bridge
    packed by UPX 4.2.4; gzip: libdeflate 1/12; zstd: zstd 1/22

    pack         extracted          gzip          zstd
    none *           1,000           500           400
    nrv                490           480           384
    lzma    refused: `upx` failed
    * the policy in images/catalog.toml

    start, ms    none best/median     nrv best/median
    bridge              6.0 / 7.5           7.0 / 8.8

    recommended: nrv, the catalog has none
      nrv: it saves 20 bytes to pull and saves 510 bytes extracted, and no start takes more than 1.2 times as long
      lzma: no, it cannot be packed so
    ");
}

#[test]
fn what_does_not_run_here_is_not_recommended() {
    let mut methods = vec![method(Pack::None, 1_000, 500, 6.0), method(Pack::Lzma, 490, 480, 7.0)];
    methods
        .iter_mut()
        .filter_map(|method| method.figures.as_mut())
        .for_each(|figures| figures.starts.clear());
    insta::assert_snapshot!(report(methods), @r"
    cni v1.26.0 amd64: bridge
    packed by UPX 4.2.4; gzip: libdeflate 1/12; zstd: zstd 1/22

    pack         extracted          gzip          zstd
    none *           1,000           500           400
    lzma               490           480           384
    * the policy in images/catalog.toml

    starts are not measured: programs for amd64 do not run on this machine itself

    recommended: none, as in the catalog
      lzma: no, it saves 20 bytes to pull and saves 510 bytes extracted, but its start cannot be measured on this machine
    ");
}

#[test]
fn best_and_median_are_of_all_runs() {
    let times = [9, 1, 5].map(Duration::from_millis).to_vec();
    let start = Start::of("x", times).unwrap();
    assert_eq!((start.runs, start.best_ms.round(), start.median_ms.round()), (3, 1.0, 5.0));
    assert!(Start::of("x", Vec::new()).is_none());
}

#[test]
fn numbers_are_grouped() {
    assert_eq!([0, 999, 1_000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
}
