# The repository as one derivation needs it: what else the catalog has does not change what is built, nor its name.
{ pkgs, catalog, lock }:
let
  toml = import ./toml.nix;
  catalogOf = release: toml {
    inherit (catalog) version product arch base variant compile component program;
    release = [ release ];
    # It decides no bytes.
    budget = { growth = { compressed = 0; extracted = 0; }; base = [ ]; };
  };
  copy = path: from: "mkdir -p $out/${builtins.dirOf path}; cp -r ${from} $out/${path}; chmod -R u+w $out/${path}";
  file = path: copy path (builtins.path { path = ../. + "/${path}"; name = builtins.replaceStrings [ "/" ] [ "-" ] path; });
  make = name: release: paths:
    pkgs.runCommand "source-${name}" { catalog = catalogOf release; } ''
      mkdir -p $out/images/go
      printf %s "$catalog" > $out/images/catalog.toml
      ${builtins.concatStringsSep "\n" (map file ([ "images/locks/toolchains.json" "images/go/edits.toml" "images/go/join" ] ++ paths))}
    '';
  there = builtins.filter (path: builtins.pathExists (../. + "/${path}"));
  closures = release: there [ "images/go/${release.version}" "images/go/cni-plugins-${release.cni-plugins}" ];
  # What is the same for all releases is built for none of them.
  none = {
    version = "v0.0.0";
    commit = "0000000000000000000000000000000000000000";
    date = "1970-01-01T00:00:00Z";
    go = lock.go.version;
    cni-plugins = "v0.0.0";
    crictl = "v0.0.0";
  };
in
{
  inherit none;
  # To compile Go programs of a release.
  go = release: make "go-${release.version}" release (closures release);
  # To compile the entrypoint.
  entrypoint = make "entrypoint" none [ "images/entrypoint" ];
  # To extract what is fetched.
  plain = make "plain" none [ ];
  # To make layers and images of a release.
  whole = release: make release.version release
    (closures release ++ [ "images/entrypoint" "images/rootfs" ] ++ there [ "images/keys" ]
      ++ there (map (base: "images/locks/alpine-${builtins.substring 1 100 base.alpine.branch}.json") (builtins.filter (base: base ? alpine) catalog.base)));
}
