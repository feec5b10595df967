# Alpine's files of a base, by the lock of its branch.
{ pkgs, catalog, plan }:
let
  # By base, if it is one of Alpine's.
  bases = builtins.listToAttrs (map (base: { inherit (base) name; value = base.alpine; }) (builtins.filter (base: base ? alpine) catalog.base));
  isOn = base: bases ? ${base};
  path = base: "images/locks/alpine-${builtins.substring 1 100 bases.${base}.branch}.json";
  isThere = base: builtins.pathExists (../. + "/${path base}");
  # The words of `missing` in xtask/crates/alpine/src/lock.rs.
  lockOf = base: if isThere base then path base else throw "${path base} is missing: `cargo xtask lock alpine` makes it from Alpine's servers, or a mirror of them, in about a minute";
  # Each lock read once.
  locks = builtins.mapAttrs (base: _: (builtins.fromJSON (builtins.readFile (../. + "/${lockOf base}"))).arches) bases;

  # What is added to the root filesystem for a product and architecture.
  packages = { base, product, arch, ... }:
    let
      locked = locks.${base}.${arch};
      installed = locked.worlds.${product}.install;
    in
    builtins.filter (package: builtins.elem "${package.name}-${package.version}" installed) locked.packages;
  # A derivation is pinned by what it gives, which Alpine's index does not say of a package's file.
  unpinned = attribute: builtins.filter (package: !(package ? sha256)) (packages attribute);
  isComplete = { arch, ... }@attribute:
    builtins.all (arch: unpinned (attribute // { inherit arch; }) == [ ]) (if arch == null then plan.arches else [ arch ]);
in
{
  inherit isOn lockOf;

  isLocked = attribute: !(isOn attribute.base) || isThere attribute.base && isComplete attribute;

  # What a layer of the base is made of for a product and architecture: the root filesystem and the packages, lying as they
  # do on Alpine's servers, so that `--mirror` can name it.
  files = { base, product, arch, ... }@attribute:
    let
      missing = builtins.length (unpinned attribute);
      all =
        if missing == 0 then packages attribute
        else throw "${path base} pins ${toString missing} packages of ${product} for ${arch} by Alpine's index alone: `cargo xtask lock alpine --complete` adds their SHA-256";
      file = { path, sha256, ... }:
        let
          fetched = pkgs.fetchurl {
            inherit sha256;
            name = builtins.baseNameOf path;
            url = "${bases.${base}.url}/${path}";
          };
        in
        "mkdir -p $out/${builtins.dirOf path}; ln -s ${fetched} $out/${path}\n";
    in
    pkgs.runCommand "alpine-${product}-${arch}" { }
      (builtins.concatStringsSep "" (map file ([ locks.${base}.${arch}.rootfs ] ++ all)));
}
