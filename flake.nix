{
  description = "The smallest container images of the Kubernetes kubelet";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";
    rust-overlay = {
      url = "github:oxalica/rust-overlay";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs = { nixpkgs, rust-overlay, ... }:
    let
      # Images for all three architectures are built on either.
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEach = make: builtins.listToAttrs (map (name: { inherit name; value = make name; }) systems);
      product = forEach (system:
        import ./nix {
          pkgs = nixpkgs.legacyPackages.${system};
          rust-bin = rust-overlay.lib.mkRustBin { } nixpkgs.legacyPackages.${system};
        });
    in
    {
      packages = forEach (system: product.${system}.packages);
      legacyPackages = forEach (system: product.${system}.legacyPackages);
      checks = forEach (system: product.${system}.checks);
      apps = forEach (system: product.${system}.apps);
      devShells = forEach (system: { default = product.${system}.devShell; });
      formatter = forEach (system: nixpkgs.legacyPackages.${system}.nixpkgs-fmt);
    };
}
