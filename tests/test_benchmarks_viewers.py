from benchmarks.viewers import ViewerCost, rest_per_viewer


def cost(viewers: int, *, cores: float, sending_cores: float, frames: float = 25.0) -> ViewerCost:
    return ViewerCost(
        viewers=viewers,
        cores=cores,
        sending_cores=sending_cores,
        packets_per_s=0.0,
        frames_encoded=frames,
    )


def test_packets_and_the_first_viewer_are_left_out() -> None:
    rows = [
        cost(0, cores=0.1, sending_cores=0.0, frames=0.0),
        cost(1, cores=0.3, sending_cores=0.01),
        cost(21, cores=0.6, sending_cores=0.21),
    ]
    assert abs(rest_per_viewer(rows) - 0.1 / 20) < 1e-9


def test_fewer_pictures_do_not_hide_what_each_costs() -> None:
    rows = [
        cost(1, cores=0.3, sending_cores=0.0, frames=25),
        cost(21, cores=0.2, sending_cores=0.0, frames=12.5),
    ]
    assert abs(rest_per_viewer(rows) - 0.1 / 20) < 1e-9
