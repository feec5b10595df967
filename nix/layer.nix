# A layer: a base's, or a component's.
{ make, catalog, slice, component }:
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
  make {
    name = "layer-${name}-${arch.name}";
    source = slice.whole release;
    verb = "layer ${name} ${catalog.omitted}--product ${product.name} --release ${release.version} --arch ${arch.name} "
      + builtins.concatStringsSep " " (map (part: "--part ${part}") parts);
  }
