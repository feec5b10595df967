# A layer: a base's, or a component's.
{ make, plan, slice, component, alpine }:
name: { product, release, base, arch, ... }@attribute:
let
  isBase = name == base;
  parts = map (component attribute) (plan.parts product name);
in
make {
  name = "layer-${name}-${arch}";
  source = if isBase then slice.on.${base}.${release} else slice.whole.${release};
  verb = "layer ${name} ${plan.omitted}--product ${product} --release ${release} --arch ${arch} --offline "
    + (if isBase && alpine.isOn base then "--mirror ${alpine.files attribute} " else "")
    + builtins.concatStringsSep " " (map (part: "--part ${part}") parts);
}
