# An image, or a multi-arch index, as an OCI layout.
{ make, plan, slice, layer, publish }:
{ name, release, base, arch, ... }@attribute:
let
  arches = if arch == null then plan.arches else [ arch ];
  layers = builtins.concatMap
    (arch: map (name: layer name (attribute // { inherit arch; })) ([ base ] ++ attribute.layers))
    arches;
  # Images of an index may share layers.
  parts = builtins.attrValues (builtins.listToAttrs
    (map (part: { name = builtins.unsafeDiscardStringContext part.outPath; value = part; }) layers));
  kind = if arch == null then "index" else "image";
  image = make {
    inherit name;
    source = slice.on.${base}.${release};
    verb = "${kind} ${name} ${plan.omitted}--offline "
      + builtins.concatStringsSep " " (map (part: "--part ${part}") parts);
    attributes = { allowedReferences = [ ]; passthru = publish image; };
  };
in
image
