# A value as TOML: each name of the top on a line, tables within as inline ones. Strings are those of JSON, whose
# escapes TOML has too.
let
  value = item:
    if builtins.isAttrs item then
      "{ ${builtins.concatStringsSep ", " (map (name: "${builtins.toJSON name} = ${value item.${name}}") (builtins.attrNames item))} }"
    else if builtins.isList item then
      "[${builtins.concatStringsSep ", " (map value item)}]"
    else
      builtins.toJSON item;
in
table: builtins.concatStringsSep "" (map (name: "${builtins.toJSON name} = ${value table.${name}}\n") (builtins.attrNames table))
