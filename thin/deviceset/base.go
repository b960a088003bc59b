package deviceset

import (
	"context"
	"errors"
	"fmt"

	"thintree/meta/record"
	"thintree/thin"
)

// openBase checks that the base device is the recorded one. With doInit it makes the base
// device if it is missing or was not completed.
func (s *DeviceSet) openBase(ctx context.Context, doInit bool) error {
	d := s.devices[""]
	if d != nil && d.rec.Initialized {
		if err := s.checkBase(ctx, d); err != nil {
			return err
		}
		return s.checkBaseOptions(ctx, d)
	}
	if !doInit {
		return nil
	}
	if d != nil {
		if err := s.deleteNow(ctx, d); err != nil {
			return err
		}
	}
	return s.makeBase(ctx)
}

func (s *DeviceSet) checkBase(ctx context.Context, d *device) error {
	if s.set.BaseDeviceUUID == "" {
		return nil // Docker before 1.9 recorded none
	}
	_, id, err := s.identify(ctx, d)
	if err != nil {
		err = fmt.Errorf("the base device: %w", err)
		if st, e := s.pool.Status(ctx); e == nil && st.Mode != thin.ModeReadWrite || errors.Is(err, ErrSuspended) {
			s.problem(err) // open anyway, so that devices can be inspected and unmounted
			return nil
		}
		return err
	}
	if id != s.set.BaseDeviceUUID {
		return &BaseError{Recorded: s.set.BaseDeviceUUID, Found: id}
	}
	return nil
}

// identify returns the type and the UUID of a device's filesystem.
func (s *DeviceSet) identify(ctx context.Context, d *device) (fs, uuid string, err error) {
	err = s.while(ctx, d, true, func(path string) error {
		fs, uuid, err = s.fs.identify(ctx, path)
		return err
	})
	return fs, uuid, err
}

// makeBase makes the base device and its filesystem. The base device is complete once its
// record says that it is initialized.
func (s *DeviceSet) makeBase(ctx context.Context) (err error) {
	if err := s.create(ctx, "", record.Device{SizeBytes: s.opts.BaseBytes}, s.pool.CreateDevice, asItIs); err != nil {
		return err
	}
	d := s.devices[""]
	defer func() {
		if err != nil {
			err = errors.Join(err, s.deleteNow(context.WithoutCancel(ctx), d))
		}
	}()
	var uuid string
	err = s.while(ctx, d, false, func(path string) error {
		if err := s.fs.make(ctx, s.opts.Filesystem, s.opts.MkfsArgs, path); err != nil {
			return err
		}
		_, uuid, err = s.fs.identify(ctx, path)
		return err
	})
	if err != nil {
		return fmt.Errorf("the base device: %w", err)
	}
	s.set.BaseDeviceUUID, s.set.BaseDeviceFilesystem = uuid, s.opts.Filesystem
	if err := record.WriteDeviceSet(s.records, s.set); err != nil {
		return err
	}
	rec := d.rec
	rec.Initialized = true
	if err := record.WriteDevice(s.records, "", rec); err != nil {
		return err
	}
	s.setRecord(d, rec)
	return nil
}
