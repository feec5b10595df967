# The crates of some Cargo.locks, by their checksums, as a directory that cargo takes for crates.io.
{ pkgs }:
lockFiles:
let
  locked = lockFile:
    builtins.filter (package: package ? checksum) (builtins.fromTOML (builtins.readFile lockFile)).package;
  # Locks have crates in common.
  packages = builtins.attrValues (builtins.listToAttrs (map
    (package: { name = "${package.name}-${package.version}"; value = package; })
    (builtins.concatMap locked lockFiles)));
  fetch = package: pkgs.fetchurl {
    name = "${package.name}-${package.version}.crate";
    url = "https://static.crates.io/crates/${package.name}/${package.name}-${package.version}.crate";
    sha256 = package.checksum;
  };
  unpack = package: ''
    tar xzf ${fetch package}
    printf '{"files":{},"package":"${package.checksum}"}' > ${package.name}-${package.version}/.cargo-checksum.json
  '';
in
pkgs.runCommand "crates" { } ''
  mkdir $out
  cd $out
  ${builtins.concatStringsSep "" (map unpack packages)}
''
