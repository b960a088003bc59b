package record

import (
	"context"
	"errors"
	"testing"
)

// Settled loads again until the look stays the same, or a few times.
func TestSettledLoadsAgainAfterAChange(t *testing.T) {
	t.Parallel()
	for changes, want := range map[int]int{0: 1, 1: 2, 3: 4, 100: settleTries} {
		loads := 0
		look := func(context.Context) (*Look, error) {
			l := NewLook()
			l.AddNumber(uint64(min(loads, changes)))
			return l, nil
		}
		got, err := Settled(t.Context(), look, func(context.Context) (int, error) {
			loads++
			return loads, nil
		})
		if got != want || err != nil {
			t.Errorf("%d changes: loaded %d times instead of %d, %v", changes, got, want, err)
		}
	}
}

func TestSettledReturnsTheErrorOfLookAndLoad(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	for _, of := range []string{"look", "load", "second look"} {
		looks := 0
		look := func(context.Context) (*Look, error) {
			looks++
			if of == "look" || of == "second look" && looks == 2 {
				return nil, wrong
			}
			return NewLook(), nil
		}
		_, err := Settled(t.Context(), look, func(context.Context) (int, error) {
			if of == "load" {
				return 0, wrong
			}
			return 1, nil
		})
		if !errors.Is(err, wrong) {
			t.Errorf("an error of the %s: %v", of, err)
		}
	}
}
