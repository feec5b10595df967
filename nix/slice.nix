# The repository as one derivation needs it: what else the catalog has does not change what is built, nor its name.
{ pkgs, catalog, plan, alpine, lock }:
let
  toml = import ./toml.nix;
  # What Alpine is made of is there for the base that stands on it only.
  catalogOf = release: on: toml {
    inherit (catalog) version product arch variant compile component program;
    base = map (base: if base.name == on then base else builtins.removeAttrs base [ "alpine" ]) catalog.base;
    release = [ release ];
    # It decides no bytes.
    budget = { growth = { compressed = 0; extracted = 0; }; base = [ ]; };
  };
  copy = path: from: "mkdir -p $out/${builtins.dirOf path}; cp -r ${from} $out/${path}; chmod -R u+w $out/${path}";
  file = path: copy path (builtins.path { path = ../. + "/${path}"; name = builtins.replaceStrings [ "/" ] [ "-" ] path; });
  makeOn = base: name: release: paths:
    pkgs.runCommand "source-${name}" { catalog = catalogOf release base; } ''
      mkdir -p $out/images/go
      printf %s "$catalog" > $out/images/catalog.toml
      ${builtins.concatStringsSep "\n" (map file ([ "images/locks/toolchains.json" "images/go/edits.toml" "images/go/join" ] ++ paths))}
    '';
  make = makeOn null;
  there = builtins.filter (path: builtins.pathExists (../. + "/${path}"));
  closures = release: there (map (name: "images/go/${name}") ([ release ] ++ plan.pluginsIn release));
  layered = release: closures release ++ [ "images/entrypoint" "images/rootfs" ];
  # Each is evaluated once, for however many images.
  ofReleases = make: builtins.listToAttrs
    (map (release: { name = release.version; value = make release.version release; }) catalog.release);
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
  go = ofReleases (version: release: make "go-${version}" release (closures version));
  # To compile the entrypoint.
  entrypoint = make "entrypoint" none [ "images/entrypoint" ];
  # To extract what is fetched.
  plain = make "plain" none [ ];
  # To fetch the modules of CNI plugins: all that a version has, whichever of them a release takes.
  plugins = builtins.mapAttrs
    (closure: version: make closure (none // { cni-plugins = version; }) [ "images/go/${closure}" ])
    plan.plugins;
  # To make layers of components.
  whole = ofReleases (version: release: make version release (layered version));
  # To make images on a base, and its own layer.
  on = builtins.mapAttrs
    (base: _: ofReleases (version: release: makeOn base "${version}-${base}" release
      (layered version ++ (if alpine.isOn base then [ "images/keys/alpine" (alpine.lockOf base) ] else [ ]))))
    plan.bases;
}
