package thin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"thintree/thin/blockdev"
	"thintree/thin/dm"
)

// deviceTable is the table of a thin device.
type deviceTable struct {
	sectors uint64 // of 512 bytes
	pool    uint64 // the pool's device number
	id      uint32
	origin  uint64 // the external origin's device number, 0 if there is none
}

const deviceTarget = "thin"

var errNoThinDevice = errors.New("it is not a thin device")

func (t deviceTable) target() dm.Target {
	params := fmt.Sprintf("%s %d", blockdev.Text(t.pool), t.id)
	if t.origin != 0 {
		params += " " + blockdev.Text(t.origin)
	}
	return dm.Target{Length: t.sectors, Type: deviceTarget, Params: params}
}

// differences lists how an active device differs from t, the device that the caller wants.
func (t deviceTable) differences(active deviceTable) (list []string) {
	if active.pool != t.pool {
		list = append(list, fmt.Sprintf("it is of pool %s, not of %s", blockdev.Text(active.pool), blockdev.Text(t.pool)))
	}
	if active.id != t.id {
		list = append(list, fmt.Sprintf("it is of device %d, not of %d", active.id, t.id))
	}
	if active.sectors != t.sectors {
		list = append(list, fmt.Sprintf("it has %d bytes, not %d", active.sectors*blockdev.SectorBytes, t.sectors*blockdev.SectorBytes))
	}
	if active.origin != t.origin {
		list = append(list, fmt.Sprintf("its origin is %s, not %s", originText(active.origin), originText(t.origin)))
	}
	return list
}

func originText(number uint64) string {
	if number == 0 {
		return "none"
	}
	return blockdev.Text(number)
}

func parseDeviceTable(table []dm.Target) (deviceTable, error) {
	if len(table) != 1 || table[0].Type != deviceTarget {
		return deviceTable{}, errNoThinDevice
	}
	words := strings.Fields(table[0].Params)
	if len(words) < 2 || len(words) > 3 {
		return deviceTable{}, fmt.Errorf("thin table %q: not understood", table[0].Params)
	}
	pool, err := blockdev.Parse(words[0])
	if err != nil {
		return deviceTable{}, err
	}
	id, err := strconv.ParseUint(words[1], 10, 32)
	if err != nil {
		return deviceTable{}, err
	}
	t := deviceTable{sectors: table[0].Length, pool: pool, id: uint32(id)}
	if len(words) == 3 {
		t.origin, err = blockdev.Parse(words[2])
	}
	return t, err
}
