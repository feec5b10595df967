# A layer: a base's, or a component's.
{ pkgs, xtask, catalog, slice, component }:
name: { product, release, base, arch, ... }:
let
  isBase = name == base.name;
  names = if isBase then catalog.baseComponents base product else [ name ];
  parts = builtins.concatMap (name: component name { inherit product release arch; }) names;
  branch = builtins.substring 1 100 base.alpine.branch;
  locked = builtins.pathExists (../images/locks + "/alpine-${branch}.json");
in
if isBase && base ? alpine && !locked then
  throw "images/locks/alpine-${branch}.json is missing: run `cargo xtask lock alpine`"
else
  pkgs.runCommand "layer-${name}-${arch.name}"
  {
    nativeBuildInputs = [ xtask ];
    allowedReferences = [ ];
  } ''
    export HOME=$TMPDIR/home
    mkdir $HOME
    cd ${slice.whole release}
    xtask make layer ${name} ${catalog.omitted}--product ${product.name} --release ${release.version} --arch ${arch.name} \
      ${builtins.concatStringsSep " " (map (part: "--part ${part}") parts)} --out $out
  ''
