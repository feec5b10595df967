# A layer: a base's, or a component's.
{ make, catalog, slice, component, alpine }:
name: { product, release, base, arch, ... }@place:
let
  isBase = name == base.name;
  names = if isBase then catalog.baseComponents base product else [ name ];
  parts = builtins.concatMap (name: component name { inherit product release arch; }) names;
in
make {
  name = "layer-${name}-${arch.name}";
  source = if isBase then slice.on base release else slice.whole release;
  verb = "layer ${name} ${catalog.omitted}--product ${product.name} --release ${release.version} --arch ${arch.name} --offline "
    + (if isBase && base ? alpine then "--mirror ${alpine.files place} " else "")
    + builtins.concatStringsSep " " (map (part: "--part ${part}") parts);
}
