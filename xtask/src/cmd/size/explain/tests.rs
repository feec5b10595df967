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
    insta::assert_snapshot!(report(methods), @"");
}

#[test]
fn what_gains_and_costs_nothing_is_recommended() {
    let methods = vec![
        method(Pack::None, 1_000, 500, 6.0),
        method(Pack::Nrv, 490, 480, 7.0),
        Method { pack: Pack::Lzma, figures: None, refused: Some("`upx` failed".into()) },
    ];
    insta::assert_snapshot!(report(methods), @"");
}

#[test]
fn what_does_not_run_here_is_not_recommended() {
    let mut methods = vec![method(Pack::None, 1_000, 500, 6.0), method(Pack::Lzma, 490, 480, 7.0)];
    methods
        .iter_mut()
        .filter_map(|method| method.figures.as_mut())
        .for_each(|figures| figures.starts.clear());
    insta::assert_snapshot!(report(methods), @"");
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
