"""The shapes of our custom resources. `crds/` is generated from them; users' manifests are written against them."""
