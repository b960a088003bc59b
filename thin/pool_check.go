package thin

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// CheckError is what thin_check found wrong.
type CheckError struct {
	Metadata string // path
	Report   string // what it printed
}

func (e *CheckError) Error() string {
	return fmt.Sprintf("%s: thin_check finds it damaged: %s", e.Metadata, e.Report)
}

// ErrNoThinCheck says that the program is not installed.
var ErrNoThinCheck = errors.New("thin_check is not installed: it is in the package thin-provisioning-tools (device-mapper-persistent-data)")

// CheckPool has thin_check verify the metadata, a file or block device, of a pool
// that is not active, and changes nothing. A *[CheckError] is what it finds.
func CheckPool(ctx context.Context, metadata string) error {
	if err := unused(metadata, 0); err != nil {
		return fmt.Errorf("only a pool that is not active can be checked: %w", err)
	}
	program, err := exec.LookPath("thin_check")
	if err != nil {
		return ErrNoThinCheck
	}
	out, err := exec.CommandContext(ctx, program, metadata).CombinedOutput()
	var status *exec.ExitError
	if errors.As(err, &status) && ctx.Err() == nil {
		return &CheckError{metadata, strings.Join(strings.Fields(string(out)), " ")}
	}
	return err
}
