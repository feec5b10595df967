package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"k8s.io/mount-utils"
	utilexec "k8s.io/utils/exec"
)

// What volume plugins do with a block device and with NFS.
func volumes(dir, file string, exports []string) {
	device := attach(file)
	fmt.Println("attached")
	runner := utilexec.New()
	mounter := &mount.SafeFormatAndMount{Interface: mount.New(""), Exec: runner}
	volume := filepath.Join(dir, "volume")
	must("mkdir", os.MkdirAll(volume, 0o755))
	data := filepath.Join(volume, "data")

	format, err := mounter.GetDiskFormat(device)
	must("blkid of an empty device", err)
	if format != "" {
		must("blkid", fmt.Errorf("an empty device has %q", format))
	}
	must("format and mount", mounter.FormatAndMount(device, volume, "ext4", nil))
	must("write", os.WriteFile(data, []byte("kept"), 0o644))
	must("unmount", mounter.Unmount(volume))
	// Now it has a filesystem: it is checked, and not formatted.
	must("mount again", mounter.FormatAndMount(device, volume, "ext4", nil))
	kept, err := os.ReadFile(data)
	must("read", err)
	fmt.Printf("formatted once: %s\n", kept)

	before := size(volume)
	must("grow the file", os.Truncate(file, 2*length(file)))
	run("losetup", "-c", device)
	resizer := mount.NewResizeFs(runner)
	need, err := resizer.NeedResize(device, volume)
	must("need resize", err)
	done, err := resizer.Resize(device, volume)
	if err != nil && strings.Contains(err.Error(), "Permission denied to resize") {
		fmt.Printf("resized: %v, but this machine has no CAP_SYS_RESOURCE\n", need)
	} else {
		must("resize", err)
		again, err := resizer.NeedResize(device, volume)
		must("need resize", err)
		fmt.Printf("resized: %v %v, then %v, grown %v\n", need, done, again, size(volume) > before)
	}
	must("unmount", mounter.Unmount(volume))

	// What the host does not have is said by its name.
	err = mounter.FormatAndMount(device, volume, "xfs", []string{"ro"})
	fmt.Printf("ext4 as xfs: %v\n", err != nil)
	run("losetup", "-d", device)
	if left := loopDevice(file); left != "" {
		must("detach", fmt.Errorf("%s is still attached", left))
	}
	for _, export := range exports {
		must("nfs", mounter.Mount(export, volume, "nfs", []string{"vers=4.2", "soft", "timeo=50"}))
		must("write", os.WriteFile(data, []byte("over NFS"), 0o644))
		must("unmount", mounter.Unmount(volume))
		must("mount read-only", mounter.Mount(export, volume, "nfs", []string{"vers=4.2", "ro"}))
		if os.WriteFile(data, nil, 0o644) == nil {
			must("read-only", fmt.Errorf("it was written to"))
		}
		must("unmount by cleanup", mount.CleanupMountPoint(volume, mounter, true))
		fmt.Println("NFS")
	}
	fmt.Println("done")
}

// As k8s.io/kubernetes/pkg/volume/util/volumepathhandler: AttachFileDevice.
func attach(file string) string {
	run("losetup", "-f", file)
	device := loopDevice(file)
	if device == "" {
		must("attach", fmt.Errorf("no loop device has %s behind it", file))
	}
	return device
}

// As there: getLoopDeviceFromSysfs.
func loopDevice(file string) string {
	devices, err := filepath.Glob("/sys/block/loop*")
	must("glob", err)
	for _, device := range devices {
		behind, err := os.ReadFile(device + "/loop/backing_file")
		if err == nil && strings.TrimSpace(string(behind)) == file {
			return "/dev/" + filepath.Base(device)
		}
	}
	return ""
}

func run(name string, args ...string) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		must(name, fmt.Errorf("%v: %s", err, out))
	}
}

// The size of the filesystem at a path.
func size(path string) uint64 {
	var found syscall.Statfs_t
	must("statfs", syscall.Statfs(path, &found))
	return found.Blocks * uint64(found.Bsize)
}

// The length of a file.
func length(path string) int64 {
	info, err := os.Stat(path)
	must("stat", err)
	return info.Size()
}
