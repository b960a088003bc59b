package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"thintree/thin"
	"thintree/thin/block"
	"thintree/thin/deviceset"
	"thintree/thin/dm"
	"thintree/thin/reader"
)

// volumeReport is thintree's report of a volume of a pool. docs/json.md documents its JSON.
type volumeReport struct {
	// Name is the volume's name in a store, and otherwise the name of its device. Path is the
	// path of the device.
	Name        string `json:"name,omitempty"`
	DeviceID    uint32 `json:"device_id"`
	SizeBytes   int64  `json:"size_bytes,omitempty"`
	MappedBytes int64  `json:"mapped_bytes"`
	// TransactionID is from the pool's details of the volume. RecordTransactionID is from the
	// store's record.
	TransactionID       uint64   `json:"transaction_id"`
	RecordTransactionID *uint64  `json:"record_transaction_id,omitempty"`
	Deleted             bool     `json:"deleted"`
	Active              bool     `json:"active"`
	Suspended           bool     `json:"suspended"`
	ReadOnly            bool     `json:"read_only"`
	Path                string   `json:"path,omitempty"`
	Origin              string   `json:"origin,omitempty"`
	Mounts              []string `json:"mounts,omitempty"`
}

// reportVolume reports on a store's volume, without the pool's details of it.
func reportVolume(ctx context.Context, s *deviceset.DeviceSet, hash string) (volumeReport, error) {
	st, err := s.DeviceStatus(ctx, hash)
	if err != nil {
		return volumeReport{}, err
	}
	return volumeReport{
		Name: volumeName(hash), DeviceID: st.DeviceID, SizeBytes: st.SizeBytes, MappedBytes: st.MappedBytes,
		RecordTransactionID: &st.RecordTransactionID, Deleted: st.Deleted,
		Active: st.Active, Suspended: st.Suspended, Path: st.Path, Mounts: st.Mounts,
	}, nil
}

// reportActive reports on an active device, without the pool's details of it.
func reportActive(ctx context.Context, k *thin.Kernel, a thin.ActiveDevice) (volumeReport, error) {
	_, st, err := k.DeviceStatus(ctx, a.Name)
	if err != nil {
		return volumeReport{}, err
	}
	v := volumeReport{
		Name: a.Name, DeviceID: a.ID, SizeBytes: a.SizeBytes, MappedBytes: st.MappedBytes(),
		Active: true, Suspended: a.Info.Suspended, ReadOnly: a.Info.ReadOnly, Path: a.Path(),
	}
	if a.Origin != 0 {
		if v.Origin, err = thin.DevicePath(a.Origin); err != nil {
			return volumeReport{}, err
		}
	}
	v.Mounts, err = mountsOf(a.Number)
	return v, err
}

// state is the state of a volume in a few words, or "" if it is idle.
func (v volumeReport) state() string {
	var words []string
	for _, w := range []struct {
		is   bool
		text string
	}{
		{v.Suspended, "suspended"},
		{v.Active && !v.Suspended, "active"},
		{v.ReadOnly, "read-only"},
		{v.Deleted, "to be deleted"},
	} {
		if w.is {
			words = append(words, w.text)
		}
	}
	return strings.Join(words, ", ")
}

// showJSON prints the one volume of a command, with the pool's details of it.
func (v volumeReport) showJSON(ctx context.Context, p *thin.Pool) error {
	all, missing := detailsOf(ctx, p)
	v.addDetails(all)
	if err := printJSON(v); err != nil {
		return err
	}
	return warnDetails(missing)
}

// show prints the one volume of a command.
func (v volumeReport) show(c *cli.Context, p *thin.Pool) error {
	if c.Bool("json") {
		return v.showJSON(c.Context, p)
	}
	size := ""
	if v.SizeBytes > 0 {
		size = bytes(v.SizeBytes)
	}
	name := ""
	if v.Name != "" {
		name = printable(v.Name)
	}
	table(
		[2]string{"volume", name},
		[2]string{"device id", fmt.Sprint(v.DeviceID)},
		[2]string{"size", size},
		[2]string{"state", v.state()},
		[2]string{"block device", v.Path},
	)
	return nil
}

func volumeListCommand() *cli.Command {
	return &cli.Command{
		Name:               "ls",
		Usage:              "list the volumes of a pool",
		ArgsUsage:          "POOL",
		Description:        volumeHelp,
		Flags:              []cli.Flag{jsonFlag(), optFlag()},
		BashComplete:       completePools,
		CustomHelpTemplate: exits{done: "all volumes were listed", partial: "listed, but part of the pool or store could not be read: standard error says which"}.after(commandHelp),
		Action:             until(volumeList),
	}
}

func volumeList(c *cli.Context) error {
	if err := takes(c, 1, 1, "one POOL", "store:/var/lib/thintree"); err != nil {
		return err
	}
	list := []volumeReport{}
	partial := false
	err := onPool(c, c.Args().First(), func(k *thin.Kernel, s *deviceset.DeviceSet) error {
		st, err := s.Status(c.Context)
		if err != nil {
			return err
		}
		partial = len(st.Problems) > 0
		all, err := detailsOf(c.Context, s.Pool())
		if warnDetails(err) != nil {
			partial = true
		}
		for _, hash := range s.List() {
			v, err := reportVolume(c.Context, s, hash)
			if err != nil {
				return err
			}
			v.addDetails(all)
			list = append(list, v)
		}
		return nil
	}, func(k *thin.Kernel, p *thin.Pool) error {
		var err error
		list, err = rawVolumes(c.Context, k, p)
		return err
	})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = printJSON(list)
	} else {
		err = printVolumes(list)
	}
	if err == nil && partial {
		return errPartial
	}
	return err
}

func printVolumes(list []volumeReport) error {
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "VOLUME\tID\tSIZE\tMAPPED\tSTATE\tDEVICE\tMOUNTED AT")
	for _, v := range list {
		name, size := "-", "-"
		if v.Name != "" {
			name = printable(shorten(v.Name))
		}
		if v.SizeBytes > 0 {
			size = bytes(v.SizeBytes)
		}
		var mounts []string
		for _, m := range v.Mounts {
			mounts = append(mounts, printable(m))
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", name, v.DeviceID, size, bytes(v.MappedBytes), v.state(), v.Path, strings.Join(mounts, " "))
	}
	return w.Flush()
}

// details is what a pool's metadata say about a device.
type details struct {
	mappedBytes   int64
	transactionID uint64
}

// detailsOf reads the details that an active pool has of its devices, by id.
func detailsOf(ctx context.Context, p *thin.Pool) (map[uint32]details, error) {
	l, err := p.Layout(ctx)
	if err != nil {
		return nil, err
	}
	r, err := reader.Open(ctx, block.At(l.Metadata), block.At(l.Data), reader.Options{})
	if err != nil {
		return nil, err
	}
	all := map[uint32]details{}
	for d, err := range r.Devices(ctx) {
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", l.Metadata, err), r.Close())
		}
		all[d.ID] = details{int64(d.MappedBlocks) * p.BlockBytes(), d.TransactionID}
	}
	return all, r.Close()
}

// addDetails adds the pool's details of the volume. If the volume is active, the kernel's number
// of mapped bytes is newer, and stays.
func (v *volumeReport) addDetails(all map[uint32]details) {
	d := all[v.DeviceID]
	v.TransactionID = d.transactionID
	if !v.Active {
		v.MappedBytes = d.mappedBytes
	}
}

// warnDetails returns nil if err is nil. Otherwise it prints why the pool's details of its volumes
// are missing, and returns errPartial.
func warnDetails(err error) error {
	if err == nil {
		return nil
	}
	fmt.Fprintln(os.Stderr, "thintree: warning: cannot read the pool's details of its volumes:", oneLine(err.Error()))
	return errPartial
}

// rawVolumes lists the devices of a pool by id. A device that is active under several
// names is listed with each of them.
func rawVolumes(ctx context.Context, k *thin.Kernel, p *thin.Pool) ([]volumeReport, error) {
	all, err := detailsOf(ctx, p)
	if err != nil {
		return nil, err
	}
	active, err := p.Active(ctx)
	if err != nil {
		return nil, err
	}
	list := []volumeReport{}
	idle := maps.Clone(all)
	for _, a := range active {
		v, err := reportActive(ctx, k, a)
		if errors.Is(err, dm.ErrNotFound) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		v.addDetails(all)
		delete(idle, a.ID)
		list = append(list, v)
	}
	for id, d := range idle {
		list = append(list, volumeReport{DeviceID: id, MappedBytes: d.mappedBytes, TransactionID: d.transactionID})
	}
	slices.SortFunc(list, func(a, b volumeReport) int {
		return cmp.Or(cmp.Compare(a.DeviceID, b.DeviceID), cmp.Compare(a.Name, b.Name))
	})
	return list, nil
}
