// Mounts and unmounts by k8s.io/mount-utils, as the kubelet and CSI drivers do. Arguments: an empty directory; and for volumes
// on a block device, which has a file behind it, that file; then `server:/path` of an NFS export.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/mount-utils"
)

func must(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) > 2 {
		volumes(os.Args[1], os.Args[2], os.Args[3:])
		return
	}
	dir := func(name string) string {
		path := filepath.Join(os.Args[1], name)
		must("mkdir", os.MkdirAll(path, 0o755))
		return path
	}
	mounter := mount.New("")
	is := func(path string, want bool) {
		not, err := mount.IsNotMountPoint(mounter, path)
		must("is mount point", err)
		if not == want {
			must(path, fmt.Errorf("mounted: %v, wanted: %v", !not, want))
		}
	}

	a, b, c := dir("a"), dir("b"), dir("c")
	must("tmpfs", mounter.Mount("tmpfs", a, "tmpfs", []string{"size=64k", "mode=0700"}))
	is(a, true)
	must("bind read-only", mounter.Mount(a, b, "", []string{"bind", "ro"}))
	is(b, true)
	if err := os.WriteFile(filepath.Join(b, "x"), nil, 0o644); err == nil {
		must("read-only", fmt.Errorf("a file was made in it"))
	}
	must("sensitive, no systemd-run", mounter.MountSensitiveWithoutSystemd("tmpfs", c, "tmpfs", []string{"ro"}, []string{"size=32k"}))
	is(c, true)
	must("list", func() error {
		points, err := mounter.List()
		if err == nil && len(points) == 0 {
			err = fmt.Errorf("no mounts")
		}
		return err
	}())

	for _, path := range []string{b, c} {
		must("unmount", mounter.Unmount(path))
		is(path, false)
	}
	must("unmount by force", mounter.(mount.MounterForceUnmounter).UnmountWithForce(a, 5*time.Second))
	is(a, false)
	// What is not mounted is not an error where umount says so in the words that are looked for.
	fmt.Printf("unmount of nothing: %v\n", mounter.Unmount(a))
	must("cleanup", mount.CleanupMountPoint(a, mounter, true))
	if err := mounter.Mount("nothing", dir("d"), "nosuchfs", nil); err == nil {
		must("unknown type", fmt.Errorf("was mounted"))
	}
	fmt.Println("done")
}
