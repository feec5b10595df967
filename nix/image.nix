# An image, or a multi-arch index, as an OCI layout.
{ pkgs, xtask, catalog, slice, layer }:
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
pkgs.runCommand attribute.name
{
  nativeBuildInputs = [ xtask ];
  allowedReferences = [ ];
} ''
  export HOME=$TMPDIR/home
  mkdir $HOME
  cd ${slice.whole attribute.release}
  xtask make ${kind} ${attribute.name} ${catalog.omitted}\
    ${builtins.concatStringsSep " " (map (part: "--part ${part}") parts)} --out $out
''
