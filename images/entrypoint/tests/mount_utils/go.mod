module mountutils

go 1.21

require (
	k8s.io/mount-utils v0.26.0
	k8s.io/utils v0.0.0-20221107191617-1a15be271d1d
)

require (
	github.com/go-logr/logr v1.2.3 // indirect
	github.com/moby/sys/mountinfo v0.6.2 // indirect
	golang.org/x/sys v0.3.0 // indirect
	k8s.io/klog/v2 v2.80.1 // indirect
)
