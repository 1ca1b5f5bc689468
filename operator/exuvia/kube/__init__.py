"""The API server, as raw JSON: auth, pages, watch lines, patches, evictions. The only importer of `kubernetes`."""
