// Package job is what the machine and the init of its guest say to each other,
// by files in a folder that both see.
package job

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
)

// Inside is the environment variable that is set for a process in the guest.
const Inside = "THINTREE_GUEST"

// Job is a command to run in the guest.
type Job struct {
	Args []string // the program's path first
	Dir  string   // where it runs
	Path string   // its PATH
}

// Write leaves the job in a folder.
func (j Job) Write(dir string) error {
	text, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "job"), text, 0o600)
}

// Read reads the job in a folder.
func Read(dir string) (j Job, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "job"))
	if err != nil {
		return j, err
	}
	return j, json.Unmarshal(text, &j)
}

// Output is the file that a job writes its output to.
func Output(dir string) (*os.File, error) { return os.Create(filepath.Join(dir, "output")) }

// End leaves a job's exit status.
func End(dir string, status int) error {
	return os.WriteFile(filepath.Join(dir, "status"), []byte(strconv.Itoa(status)), 0o600)
}

// Result is what a job has written and its exit status, or an error if it has
// not ended.
func Result(dir string) (output string, status int, err error) {
	text, outputErr := os.ReadFile(filepath.Join(dir, "output"))
	ended, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return string(text), 0, err
	}
	status, err = strconv.Atoi(string(ended))
	return string(text), status, errors.Join(err, outputErr)
}
