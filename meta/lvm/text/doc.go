// Package text parses the text format in which LVM2 writes its metadata and configuration.
//
//	vg0 {
//		seqno = 15
//		status = ["READ", "WRITE"]
//		physical_volumes {
//			pv0 { … }
//		}
//	}
//	# a comment
//
// A section holds sections and values. A value is a string, a number, or an array of these.
// The text ends at a NUL. The package does not know what keys mean.
//
// LVM takes a slash in a key as a path of sections, and ignores the second of two equal keys.
// Its own metadata has neither, so here both are errors.
//
// The source is LVM2's libdm/libdm-config.c.
package text
