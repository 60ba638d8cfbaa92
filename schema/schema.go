// Package schema holds the JSON Schemas (draft 2020-12) of the documents that the
// commands print. They refer to each other by the names of their files.
package schema

import (
	"embed"
	"path"
)

// Files are the schemas: "mrinfo.json" is that of mrinfo's documents. What several
// of them refer to is in the directory "shared".
//
//go:embed *.json shared/*.json
var Files embed.FS

// File returns the name of the file with the schema of the documents whose key
// "schema" says name: "mrinfo.json" for "mbone/mrinfo". It may not exist.
func File(name string) string { return path.Base(name) + ".json" }
