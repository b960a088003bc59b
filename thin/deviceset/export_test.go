package deviceset

import "context"

// NewFakeDeviceSet is [NewDeviceSet] over a fake device-mapper, for examples. Its
// pool is active under the name "pool".
func NewFakeDeviceSet(ctx context.Context, root string, doInit bool, options []string) (*DeviceSet, error) {
	f, err := makeFake(root, fakeParams)
	if err != nil {
		return nil, err
	}
	o, err := ParseOptions(options)
	if err != nil {
		return nil, err
	}
	return f.openWith(ctx, doInit, o)
}
