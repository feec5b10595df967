# An image, or a multi-arch index, as an OCI layout.
{ make, catalog, slice, layer }:
attribute:
let
  arches = if attribute.arch == null then catalog.arch else [ attribute.arch ];
  layers = builtins.concatMap
    (arch: map (name: layer name (attribute // { inherit arch; })) (catalog.layers attribute))
    arches;
  # Images of an index may share layers.
  parts = builtins.attrValues (builtins.listToAttrs
    (map (part: { name = builtins.unsafeDiscardStringContext part.outPath; value = part; }) layers));
  kind = if attribute.arch == null then "index" else "image";
in
make {
  inherit (attribute) name;
  source = slice.whole attribute.release;
  verb = "${kind} ${attribute.name} ${catalog.omitted}"
    + builtins.concatStringsSep " " (map (part: "--part ${part}") parts);
}
