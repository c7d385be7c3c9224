# shellcheck shell=bash disable=SC2034 # variables cross files
# The images of the test cluster, made without a container engine. Sourced after hack/lib.sh.

pause_image=localhost/ecs-e2e/pause:1
workload_image=localhost/ecs-e2e/workload:1

# build_pause REPO OUT: the static process 1.
build_pause() {
  musl-gcc -static -Os -s -Wall -Wextra -Werror -o "$2" "$1/e2e/tools/pause/pause.c"
}

# build_workload_image REPO OUT.tar: busybox and the workload program.
build_workload_image() {
  local repo=$1 out=$2 rootfs tool
  rootfs=$(mktemp -d)
  chmod 0755 "$rootfs"
  mkdir -p "$rootfs"/{bin,etc,tmp}
  chmod 1777 "$rootfs/tmp"
  install -m 0755 /bin/busybox "$rootfs/bin/busybox"
  is_static "$rootfs/bin/busybox" || die "/bin/busybox is not static: install busybox-static"
  while read -r tool; do
    [[ $tool == busybox ]] || ln -s busybox "$rootfs/bin/$tool"
  done < <("$rootfs/bin/busybox" --list)
  printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$rootfs/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$rootfs/etc/group"
  (cd "$repo/e2e/tools" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false \
    go build -trimpath -ldflags "-s -w" -o "$rootfs/workload" ./workload) >&2
  pack_image "$rootfs" "$out" "$workload_image" '{"Entrypoint":["/workload"],"Env":["PATH=/bin"],"WorkingDir":"/"}'
  rm -rf "$rootfs"
}

# build_pause_image PAUSE OUT.tar
build_pause_image() {
  local rootfs
  rootfs=$(mktemp -d)
  chmod 0755 "$rootfs"
  install -m 0755 "$1" "$rootfs/pause"
  pack_image "$rootfs" "$2" "$pause_image" '{"User":"65535:65535","Entrypoint":["/pause"],"WorkingDir":"/"}'
  rm -rf "$rootfs"
}

# test_images_dir REPO BASE: where under BASE the images made from the sources as they are now belong.
test_images_dir() {
  local hash
  hash=$(cd "$1" && sha256sum e2e/tools/{workload/*.go,pause/*.c} e2e/cluster/images.sh hack/lib.sh | sha256sum)
  printf '%s/images-%s\n' "$2" "${hash:0:12}"
}

# build_test_images REPO BASE: pause, pause.tar and workload.tar, in test_images_dir, unless they are there.
build_test_images() {
  local dir part
  dir=$(test_images_dir "$1" "$2")
  [[ ! -d $dir ]] || return 0
  mkdir -p "$2"
  umask 022
  part=$(mktemp -d "$dir.XXXXXX")
  build_pause "$1" "$part/pause"
  build_pause_image "$part/pause" "$part/pause.tar"
  build_workload_image "$1" "$part/workload.tar"
  # Of two that do this at the same time one comes second.
  mv -T "$part" "$dir" 2>/dev/null || rm -rf "$part"
}
