package thin

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"thintree/thin/block"
	"thintree/thin/loop"
)

// CheckError says that thin_check found damage.
type CheckError struct {
	Metadata string // the path of the metadata
	Report   string // the output of thin_check, on one line
}

func (e *CheckError) Error() string {
	return fmt.Sprintf("%s: thin_check finds it damaged: %s", e.Metadata, e.Report)
}

// UncheckedError says that a pool's metadata could not be checked. They may or may not be damaged.
type UncheckedError struct{ Err error }

func (e *UncheckedError) Error() string { return "could not be checked: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *UncheckedError) Unwrap() error { return e.Err }

// ErrNoThinCheck says that thin_check is not installed.
var ErrNoThinCheck = errors.New("thin_check is not installed: it is in the package thin-provisioning-tools (device-mapper-persistent-data)")

// CheckPool verifies the metadata of an inactive pool with thin_check. It changes nothing. metadata
// is the path of a file or block device. The error is a *[CheckError] if they are damaged, an
// *[UncheckedError] if they could not be checked, an *[InUseError] if the pool is active, and
// [ErrNoThinCheck].
func CheckPool(ctx context.Context, metadata string) error {
	program, err := exec.LookPath("thin_check")
	if err != nil {
		return ErrNoThinCheck
	}
	return check(ctx, program, metadata)
}

// check runs a thin_check of any version. All versions exit with status 1 for damage and for most
// other failures. So the possible reasons of other failures are tested first.
func check(ctx context.Context, program, metadata string) error {
	f, err := block.Open(metadata, block.Options{Direct: true})
	if err != nil {
		return &UncheckedError{err}
	}
	defer f.Close()
	if f.Size() < leastMetadataBytes {
		return &UncheckedError{&TooShortError{metadata, f.Size(), leastMetadataBytes}}
	}
	err = unused(metadata, 0)
	if errors.As(err, new(*InUseError)) {
		return fmt.Errorf("only a pool that is not active can be checked: %w", err)
	}
	if err != nil {
		return &UncheckedError{err}
	}
	path, err := filepath.Abs(metadata) // which thin_check does not take for an option
	if err != nil {
		return &UncheckedError{err}
	}
	if !f.Direct() {
		l, err := loop.Attach(ctx, metadata, loop.Options{ReadOnly: true})
		if err != nil {
			return &UncheckedError{fmt.Errorf("%s: thin_check needs O_DIRECT, which its filesystem does not support: as root a loop device is used instead, other users can check a copy elsewhere: %w", metadata, err)}
		}
		defer l.Close()
		path = l.Path()
	}
	return runCheck(ctx, program, path, metadata)
}

// callFailed matches the output of thin_check if a system call failed, or if it was called wrongly.
// It says nothing about the metadata then.
var callFailed = regexp.MustCompile(`\b(open|io_[a-z]+|syscall '[a-z_]+') failed\b|\bUsage:`)

func runCheck(ctx context.Context, program, path, metadata string) error {
	const damaged = 1 // the exit status
	out, err := exec.CommandContext(ctx, program, path).CombinedOutput()
	report := strings.Join(strings.Fields(string(out)), " ")
	var status *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &UncheckedError{fmt.Errorf("%s: %w", metadata, ctx.Err())}
	case errors.As(err, &status) && status.ExitCode() == damaged && !callFailed.MatchString(report):
		return &CheckError{metadata, report}
	case report == "":
		return &UncheckedError{fmt.Errorf("%s: %s: %w", metadata, program, err)}
	}
	return &UncheckedError{fmt.Errorf("%s: %s: %w: %s", metadata, program, err, report)}
}
