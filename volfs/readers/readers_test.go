package readers

import "testing"

func TestEachTypeHasOneReader(t *testing.T) {
	t.Parallel()
	by := map[string]string{}
	for _, r := range all {
		if r.Name == "" || len(r.Types) == 0 || r.Open == nil {
			t.Errorf("%+v is not complete", r)
		}
		for _, fstype := range r.Types {
			if other, ok := by[fstype]; ok {
				t.Errorf("%s is read by %s and %s", fstype, other, r.Name)
			}
			by[fstype] = r.Name
			if got, ok := For(fstype); !ok || got.Name != r.Name {
				t.Errorf("the reader of %s is %q instead of %s", fstype, got.Name, r.Name)
			}
		}
	}
	if r, ok := For("no such type"); ok {
		t.Errorf("%s reads a type that does not exist", r.Name)
	}
}
