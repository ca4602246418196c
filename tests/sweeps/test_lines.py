"""What a sweep says after each of its points."""

from known_studies import point

from cptlab.records.run import write_whole
from cptlab.sweeps.local_agent import TimeLeft, reporter
from cptlab.training.outcome import Outcome


def test_the_lines_of_a_sweep_know_how_many_run_at_a_time_and_how_long_the_rest_is(tmp_path, capsys):
    points = [point(i, folder=tmp_path, tokens=2000 if i else 1000) for i in range(8)]
    report = reporter(8, TimeLeft(points, 4))

    def end(number, status):
        folder = points[number].path
        folder.mkdir()
        write_whole(folder / "done.json", {"status": status, "seconds": 10.0})
        report(Outcome(folder.name, folder, status, "", {}, 10.0))
        return capsys.readouterr().out.strip()

    assert "left" not in end(7, "failed")  # nothing is known yet
    assert end(0, "finished").endswith("(30 s left)")  # six of twice its work, four at a time
    assert end(1, "failed").endswith("(25 s left)")
