package pools

import (
	"archive/tar"
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

//go:embed testdata/*.tar.zst
var archives embed.FS

// archive is the compressed bytes of an archive, by its name without .tar.zst.
func archive(name string) ([]byte, error) {
	return archives.ReadFile("testdata/" + name + ".tar.zst")
}

// each calls f for each entry of an archive, in order.
func each(name string, f func(*tar.Header, io.Reader) error) error {
	packed, err := archive(name)
	if err != nil {
		return err
	}
	z, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer z.Close()
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := f(h, r); err != nil {
			return fmt.Errorf("%s: %s: %w", name, h.Name, err)
		}
	}
}

// Manifests are what the kernel showed of the volumes of an archive
// ("docker-ext4", …), by the volume's name there.
func Manifests(name string) (map[string]string, error) {
	list := map[string]string{}
	err := each("truth", func(h *tar.Header, r io.Reader) error {
		volume, ok := strings.CutPrefix(h.Name, name+".")
		if !ok {
			return nil
		}
		text, err := io.ReadAll(r)
		list[strings.TrimSuffix(volume, ".manifest")] = string(text)
		return err
	})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("no manifests of %s", name)
	}
	return list, err
}
