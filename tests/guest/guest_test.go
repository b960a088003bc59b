package guest

import (
	"os"
	"testing"
)

func TestBodyRunsInTheGuest(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T) {
		if _, err := os.Stat("/dev/mapper/control"); err != nil {
			t.Errorf("no device-mapper: %v", err)
		}
		t.Log("hello from inside")
	})
}
