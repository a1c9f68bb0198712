from bench.report import Row, Series, table


def test_a_series_is_its_median_and_how_far_it_reaches() -> None:
    series = Series.of([3.0, 1.0, 2.0, 9.0, 2.5])

    assert (series.median, series.low, series.high) == (2.5, 1.0, 9.0)
    assert series.text(1) == "2.5 (1.0-9.0)"


def test_the_table_says_which_targets_are_missed_and_stays_aligned_in_two_scripts() -> None:
    rows = [
        Row(probe="a", work="1 KB", floor="20", value="90", ratio="4.50", target="<= 3.5 x nginx", met=False),
        Row(probe="b", work="驿站", value="80 MB", target="<= 80 MB", met=True),
        Row(probe="c", work="rps", value="9000"),
    ]

    head, _, first, second, third = table(rows, subject="yizhan").splitlines()

    assert first.split()[-1] == "MISSED"
    assert second.split()[-1] == "met"
    assert third.rstrip().endswith("9000")
    assert head.index("yizhan") == first.index("90") == second.index("80 MB") + len("驿站")
