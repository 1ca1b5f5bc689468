#!/bin/sh
# A kind cluster with exuvia in it: make the cluster, build the image, load it, apply deploy/.
# Run it again after a change: an existing cluster is used, the image is built and loaded anew.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cluster=exuvia
context="kind-$cluster"

missing() {
    printf '%s\n' "$1" "Without it: make demo tells the whole story on a local control plane, with no container engine." >&2
    exit 2
}

command -v kind >/dev/null 2>&1 || missing "kind is not installed. Put it on the PATH: kind.sigs.k8s.io says how."
command -v kubectl >/dev/null 2>&1 || missing "kubectl is not installed. Put it on the PATH."
docker info >/dev/null 2>&1 || missing "No container engine answers. Start Docker and see that docker info works for you."

image=$(sed -n 's/^ *image: *//p' "$root/deploy/base/deployment.yaml")

if kind get clusters 2>/dev/null | grep -qx "$cluster"; then
    echo "using the kind cluster $cluster"
else
    kind create cluster --name "$cluster" --config "$here/cluster.yaml" --wait 120s
fi

echo "building $image"
docker build --tag "$image" "$root"
kind load docker-image "$image" --name "$cluster"

kubectl --context "$context" apply -k "$root/deploy"
kubectl --context "$context" -n exuvia-system rollout restart deployment/exuvia
kubectl --context "$context" -n exuvia-system rollout status deployment/exuvia --timeout=180s

cat <<TEXT

exuvia runs in the kind cluster $cluster.
  look around:  kubectl --context $context get exuvia
  its log:      kubectl --context $context -n exuvia-system logs deployment/exuvia
  take it away: kind delete cluster --name $cluster
TEXT
