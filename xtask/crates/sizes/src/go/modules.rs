//! From the name of a function or source file to its module.

use std::collections::HashSet;

use super::buildinfo::BuildInfo;

/// Go's own packages.
const STANDARD: &str = "std";

/// The modules of a program.
pub(super) struct Modules {
    main: String,
    main_has_version: bool,
    known: HashSet<String>,
}

impl Modules {
    pub(super) fn new(info: &BuildInfo) -> Self {
        let paths = info.dependencies.iter().chain([&info.main]).map(|module| &module.path);
        Self {
            main: info.main.path.clone(),
            main_has_version: info.main.has_version(),
            known: paths.filter(|path| !path.is_empty()).cloned().collect(),
        }
    }

    /// The module of a function, by its name in Go's function table.
    pub(super) fn of_symbol(&self, symbol: &str) -> String {
        self.of_package(&package(symbol))
    }

    /// The module of a source file, by its path in a program that was built with `-trimpath`.
    pub(super) fn of_file(&self, file: &str) -> String {
        match file.split_once('@') {
            Some((module, _)) if self.known.contains(module) => self.of_package(module),
            _ => self.of_package(file.rsplit_once('/').map_or("", |(directory, _)| directory)),
        }
    }

    fn of_package(&self, package: &str) -> String {
        let package = if package == "main" { self.main.as_str() } else { package };
        let mut prefix = package;
        loop {
            // The packages of a module that was made for the build are programs: they stand for themselves.
            if prefix == self.main && !self.main_has_version {
                return package.to_owned();
            }
            if self.known.contains(prefix) {
                return prefix.to_owned();
            }
            match prefix.rsplit_once('/') {
                Some((above, _)) => prefix = above,
                None => return standard(package),
            }
        }
    }
}

/// Go's own packages are one module, and most of a small program: they are distinguished by the first word of their paths,
/// as `std/crypto`.
fn standard(package: &str) -> String {
    match package.split('/').next() {
        Some(first) if !first.is_empty() && !first.contains('.') => format!("{STANDARD}/{first}"),
        _ => STANDARD.to_owned(),
    }
}

/// The import path of a function's package: `k8s.io/api/core/v1` of `k8s.io/api/core/v1.(*Pod).Marshal`; empty for
/// what has none, such as functions of the linker.
fn package(symbol: &str) -> String {
    // Made by the compiler for a type: that is whose it is.
    let symbol =
        ["type:.eq.", "type:.hash."].iter().find_map(|made| symbol.strip_prefix(made)).unwrap_or(symbol);
    let end = symbol.find(['[', '(', '{', ' ', '*', ':']).unwrap_or(symbol.len());
    let path = &symbol[..end];
    let last = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[last..].find('.') {
        Some(dot) => unescape(&path[..last + dot]),
        None => String::new(),
    }
}

/// The linker writes what would make a path ambiguous as `%2e`.
fn unescape(path: &str) -> String {
    let mut out = Vec::with_capacity(path.len());
    let bytes = path.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| path.get(at + 1..at + 3)).flatten();
        if let Some(value) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            out.push(value);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::buildinfo::Module;
    use super::*;

    fn modules(main: &str, main_has_version: bool) -> Modules {
        let module = |path: &str, version: &str| Module {
            path: path.into(),
            version: version.into(),
            ..Module::default()
        };
        let dependencies = ["k8s.io/api", "github.com/a/b", "github.com/a/b/v2", "gopkg.in/yaml.v3"]
            .map(|path| module(path, "v1.0.0"))
            .to_vec();
        let main = module(main, if main_has_version { "v1.26.0" } else { "(devel)" });
        Modules::new(&BuildInfo { main, dependencies, ..BuildInfo::default() })
    }

    #[test]
    fn the_longest_path_that_fits_is_the_module() {
        let modules = modules("k8s.io/kubernetes", true);
        for (symbol, module) in [
            ("k8s.io/api/core/v1.(*Pod).Marshal", "k8s.io/api"),
            ("k8s.io/api.init", "k8s.io/api"),
            ("k8s.io/apiserver/x.F", "std"),
            ("github.com/a/b/v2/c.F.func1", "github.com/a/b/v2"),
            ("github.com/a/b/v3.F", "github.com/a/b"),
            ("gopkg.in/yaml%2ev3.Unmarshal", "gopkg.in/yaml.v3"),
            ("github.com/a/b.G[go.shape.struct { k8s.io/api.X }]", "github.com/a/b"),
            ("type:.eq.k8s.io/api/core/v1.Pod", "k8s.io/api"),
            ("type:.eq.[4]string", "std"),
            ("main.main", "k8s.io/kubernetes"),
            ("crypto/tls.(*Conn).Write", "std/crypto"),
            ("k8s.io/kubernetes/cmd/kubelet/app.Run", "k8s.io/kubernetes"),
            ("runtime.mallocgc", "std/runtime"),
            ("vendor/golang.org/x/net/idna.F", "std/vendor"),
            ("_rt0_amd64_linux", "std"),
            ("", "std"),
            ("%", "std"),
            ("a%2", "std"),
            ("a%é.x", "std/a%é"),
        ] {
            assert_eq!(modules.of_symbol(symbol), module, "{symbol}");
        }
    }

    #[test]
    fn programs_that_were_joined_stand_for_themselves() {
        let modules = modules("joined", false);
        assert_eq!(modules.of_symbol("joined/program/crictl.main"), "joined/program/crictl");
        assert_eq!(modules.of_symbol("main.main"), "joined");
        assert_eq!(modules.of_file("joined/program/crictl/pull.go"), "joined/program/crictl");
    }

    #[test]
    fn files_carry_their_modules_version() {
        let modules = modules("k8s.io/kubernetes", true);
        assert_eq!(modules.of_file("k8s.io/api@v0.26.0/core/v1/types.go"), "k8s.io/api");
        assert_eq!(modules.of_file("runtime/proc.go"), "std/runtime");
        assert_eq!(modules.of_file("_cgo_gotypes.go"), "std");
    }
}
