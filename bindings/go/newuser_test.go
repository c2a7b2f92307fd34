package authgrant

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestProgramOfREADMEBuildsOutsideRepository does what a new user does: the commands and the program of README.md in an empty
// directory.
func TestProgramOfREADMEBuildsOutsideRepository(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	commands := regexp.MustCompile("(?s)```sh\n(go mod init.*?)```").FindSubmatch(readme)
	if program == nil || commands == nil {
		t.Fatal("README.md has no program or no commands")
	}
	module, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "main.go"), program[1], 0o600); err != nil {
		t.Fatal(err)
	}
	script := strings.ReplaceAll(string(commands[1]), "/path/to/authgrant/bindings/go", module)
	command := exec.Command("bash", "-euc", script)
	command.Dir = directory
	output, err := command.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(output), "200 OK\n") {
		t.Fatalf("%v: %s", err, output)
	}
}
