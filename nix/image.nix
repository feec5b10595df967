# An image, or a multi-arch index, as an OCI layout.
{ make, catalog, slice, layer, publish }:
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
  image = make {
    inherit (attribute) name;
    source = slice.on attribute.base attribute.release;
    verb = "${kind} ${attribute.name} ${catalog.omitted}--offline "
      + builtins.concatStringsSep " " (map (part: "--part ${part}") parts);
    attributes = { allowedReferences = [ ]; passthru = publish image; };
  };
in
image
