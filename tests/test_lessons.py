"""What the course computes, against independent references."""

import math

import numpy
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from ganlib import lessons
from ganlib.lessons import GaussianClasses, Linear
from ganlib.losses import LOSSES

GRID = torch.linspace(-14, 14, 1401, dtype=torch.float64)
EXTENT = (-4.0, 4.0, -3.0, 3.0)
MEANS = ((-1.2, 0.5), (1.2, -0.5))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clouds(n: int = 100, **options) -> tuple[Tensor, Tensor]:
    return lessons.two_clouds(MEANS, n, rng(), **options)


def normal(mean: float, std: float) -> Tensor:
    return lessons.normal_density(GRID, mean, std)


def angle(first: Linear, second: Linear) -> float:
    """Degrees between two boundaries."""
    cosine = first.weight @ second.weight / (first.weight.norm() * second.weight.norm())
    return math.degrees(math.acos(min(1.0, cosine.item())))


def test_the_clouds_have_the_shape_that_was_asked_for():
    x, y = clouds(50_000, spread=0.7, correlation=-0.6, outliers=500)
    assert y.bincount().tolist() == [50_000, 50_500]
    for label, mean in enumerate(MEANS):
        part = x[y == label][:50_000]
        numpy.testing.assert_allclose(part.mean(0), mean, atol=0.02)
        numpy.testing.assert_allclose(part.T.cov(), [[0.49, -0.294], [-0.294, 0.49]], atol=0.02)
    numpy.testing.assert_allclose(x[-500:].mean(0), lessons.OUTLIERS, atol=0.05)


@pytest.mark.parametrize("outliers", [0, 12])
def test_gaussian_classes_are_those_of_scikit_learn(outliers):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x, y = clouds(correlation=0.5, outliers=outliers)
    reference = LinearDiscriminantAnalysis(solver="lsqr").fit(x.numpy(), y.numpy())
    model = GaussianClasses.fit(x, y)
    numpy.testing.assert_allclose(model.linear().weight, reference.coef_[0], rtol=1e-6)
    numpy.testing.assert_allclose(model.linear().bias, reference.intercept_[0], rtol=1e-6)
    numpy.testing.assert_allclose(model.posterior(x), reference.predict_proba(x.numpy())[:, 1], rtol=1e-6)


def test_naive_bayes_is_that_of_scikit_learn_where_the_classes_vary_alike():
    from sklearn.naive_bayes import GaussianNB

    x, y = clouds(correlation=0.6)
    x[y == 1] = x[y == 0] + torch.tensor([2.0, -1.0])  # so that each class has the variances of both together
    reference = GaussianNB(var_smoothing=0).fit(x.numpy(), y.numpy())
    model = GaussianClasses.fit(x, y, naive=True)
    assert model.covariance[0, 1] == model.covariance[1, 0] == 0
    numpy.testing.assert_allclose(model.posterior(x), reference.predict_proba(x.numpy())[:, 1], rtol=1e-6)


@pytest.mark.parametrize("naive", [False, True])
def test_the_posterior_is_the_logistic_function_of_a_linear_one(naive):
    model = GaussianClasses.fit(*clouds(correlation=0.7, outliers=10), naive)
    points = torch.randn(200, 2, generator=rng(1), dtype=torch.float64) * 3
    torch.testing.assert_close(model.linear().logits(points).sigmoid(), model.posterior(points))


def test_a_class_without_points_is_refused():
    with pytest.raises(ValueError, match="each class needs at least one point"):
        GaussianClasses.fit(torch.zeros(3, 2), torch.zeros(3))


@pytest.mark.parametrize("naive", [False, True])
@pytest.mark.parametrize("points", [
    [[1.0, 2.0]] * 4, [[0.0, 1.0], [0.0, 2.0], [3.0, 1.0], [3.0, 2.0]], [[0.1, math.nan]] * 4],
    ids=["coinciding", "in columns", "no numbers"])
def test_points_that_do_not_differ_in_each_direction_are_refused(points, naive):
    with pytest.raises(ValueError, match="the covariance has no inverse: the points of each class must differ"):
        GaussianClasses.fit(torch.tensor(points), torch.tensor([0, 0, 1, 1]), naive)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"correlation": 1.5}, "correlation must be a number from -1 to 1, not 1.5"),
    ({"correlation": math.nan}, "correlation must be a number from -1 to 1, not nan"),
    ({"spread": -0.1}, "spread must be a number of at least 0, not -0.1")])
def test_clouds_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        clouds(**options)


def test_new_points_are_like_those_the_generative_model_was_fitted_to():
    x, y = clouds(400, correlation=0.8, outliers=40)
    model = GaussianClasses.fit(x, y)
    new, labels = model.sample(200_000, rng(2))
    again = GaussianClasses.fit(new, labels)
    torch.testing.assert_close(again.means, model.means, atol=0.02, rtol=0)
    torch.testing.assert_close(again.covariance, model.covariance, atol=0.02, rtol=0)
    torch.testing.assert_close(again.priors, model.priors, atol=0.01, rtol=0)


def test_a_step_follows_the_gradient_of_the_loss():
    x, y = clouds()
    weight, bias = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in ([0.3, -0.8], 0.4))
    torch.nn.functional.binary_cross_entropy_with_logits(x @ weight + bias, y.double()).backward()
    after = lessons.logistic_step(Linear(weight.detach(), bias.detach()), x, y, 0.1)
    torch.testing.assert_close(after.weight, weight.detach() - 0.1 * weight.grad)
    torch.testing.assert_close(after.bias, bias.detach() - 0.1 * bias.grad)


def newton(x: Tensor, y: Tensor) -> Linear:
    """Logistic regression by Newton's method."""
    inputs, theta = torch.cat([x, torch.ones(len(x), 1)], 1), torch.zeros(3, dtype=torch.float64)
    for _ in range(30):
        p = (inputs @ theta).sigmoid()
        theta = theta - torch.linalg.solve(inputs.T @ (inputs * (p * (1 - p))[:, None]), inputs.T @ (p - y))
    return Linear(theta[:2], theta[2])


def test_gradient_descent_ends_where_newtons_method_does():
    x, y = clouds(spread=1.4, correlation=0.3)
    found, exact = lessons.logistic_fit(x, y), newton(x, y)
    torch.testing.assert_close(found.weight, exact.weight, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.bias, exact.bias, atol=1e-4, rtol=0)
    assert lessons.logistic_loss(found, x, y) == pytest.approx(lessons.logistic_loss(exact, x, y))


def test_a_discriminators_loss_is_that_of_logistic_regression():
    (x, y), model = clouds(), Linear(torch.tensor([0.5, -0.2]).double(), torch.tensor(0.1).double())
    real, fake = model.logits(x[y == 1]), model.logits(x[y == 0])
    loss = LOSSES["non-saturating"].discriminator(real, fake)
    assert lessons.logistic_loss(model, x, y) == pytest.approx(loss.item())


def test_on_many_points_of_gaussian_classes_both_classifiers_find_one_boundary():
    x, y = clouds(20_000, spread=1.0, correlation=0.5)
    discriminative, generative = newton(x, y), GaussianClasses.fit(x, y).linear()
    torch.testing.assert_close(discriminative.weight, generative.weight, rtol=0.05, atol=0)
    assert lessons.agreement(discriminative, generative, EXTENT) > 0.99


def test_correlated_features_mislead_naive_bayes_alone():
    x, y = clouds(20_000, spread=1.0, correlation=0.8)
    discriminative = newton(x, y)
    assert angle(discriminative, GaussianClasses.fit(x, y).linear()) < 1
    assert angle(discriminative, GaussianClasses.fit(x, y, naive=True).linear()) > 20


def test_outliers_on_the_right_side_move_the_generative_boundary_further():
    plain, far = clouds(correlation=0.5), clouds(correlation=0.5, outliers=20)
    moved = [angle(fit(*plain), fit(*far)) for fit in (lessons.logistic_fit,
                                                       lambda x, y: GaussianClasses.fit(x, y).linear())]
    assert moved[0] < 2 < 10 < moved[1]


def test_accuracy_and_agreement_count():
    left, right = Linear(torch.tensor([1.0, 0.0]), torch.tensor(1.0)), Linear(torch.tensor([1.0, 0.0]),
                                                                              torch.tensor(-1.0))
    assert left.accuracy(torch.tensor([[-2.0, 0], [0, 0], [2, 0], [-3, 0]]), torch.tensor([0, 0, 1, 1])) == 0.5
    left, right = (Linear(model.weight.double(), model.bias.double()) for model in (left, right))
    assert lessons.agreement(left, right, EXTENT) == pytest.approx(0.75)  # they differ on a quarter: -1 < x1 < 1


def test_the_best_discriminator_is_better_than_others():
    p, q = normal(0, 1), normal(1.5, 0.7)
    best = lessons.best_discriminator(p, q)
    lowest = lessons.discriminator_loss(best, p, q, GRID)
    for change in (0.9 * best, best + 0.1 * (1 - best), torch.full_like(best, 0.5), best**2):
        assert lessons.discriminator_loss(change, p, q, GRID) > lowest + 1e-4


def test_the_best_discriminator_is_the_posterior_of_gaussian_classes():
    p, q = normal(2, 1), normal(-1, 1)
    model = GaussianClasses(torch.tensor([[-1.0], [2.0]]).double(), torch.eye(1).double(),
                            torch.tensor([0.5, 0.5]).double())
    torch.testing.assert_close(lessons.best_discriminator(p, q), model.posterior(GRID[:, None]))


def test_the_loss_is_what_samples_estimate():
    p, q = stats.norm(0, 1), stats.norm(1, 1.5)
    generator = numpy.random.default_rng(0)
    real, fake = (torch.from_numpy(side.rvs(400_000, random_state=generator)) for side in (p, q))
    logits = [torch.from_numpy(p.logpdf(x) - q.logpdf(x)) for x in (real, fake)]
    estimated = LOSSES["non-saturating"].discriminator(*logits).item()
    best = lessons.best_discriminator(normal(0, 1), normal(1, 1.5))
    assert lessons.discriminator_loss(best, normal(0, 1), normal(1, 1.5), GRID) == pytest.approx(estimated, abs=1e-3)


@pytest.mark.parametrize(("mean", "std"), [(0, 1), (1, 1), (2.5, 0.5), (-4, 2)])
def test_the_best_loss_is_ln_2_less_the_divergence(mean, std):
    def integrand(x):
        a, b = stats.norm.logpdf(x), stats.norm.logpdf(x, mean, std)
        middle = numpy.logaddexp(a, b) - math.log(2)
        return (numpy.exp(a) * (a - middle) + numpy.exp(b) * (b - middle)) / 2

    divergence, _ = integrate.quad(integrand, -16, 16, limit=200)
    p, q = normal(0, 1), normal(mean, std)
    best = lessons.best_discriminator(p, q)
    assert lessons.jensen_shannon(p, q, GRID).item() == pytest.approx(divergence, abs=1e-6)
    assert lessons.discriminator_loss(best, p, q, GRID) == pytest.approx(math.log(2) - divergence, abs=1e-5)


def test_the_divergence_is_0_for_equal_densities_and_ln_2_without_overlap():
    assert lessons.jensen_shannon(normal(1, 1), normal(1, 1), GRID).item() == 0
    assert lessons.jensen_shannon(normal(-9, 0.3), normal(9, 0.3), GRID).item() == pytest.approx(math.log(2))


def test_the_divergence_of_two_coins_is_the_known_one():
    x, p, q = torch.arange(4).double(), torch.tensor([0.0, 0.5, 0.5, 0]), torch.tensor([0.0, 1, 0, 0])
    known = 0.75 * math.log(4 / 3)  # H(3/4, 1/4) - H(1/2, 1/2) / 2 = 0.2158 nats
    assert lessons.jensen_shannon(p.double(), q.double(), x).item() == pytest.approx(known)


def test_where_both_densities_are_equal_the_best_discriminator_is_one_half():
    p = normal(1, 0.8)
    assert (lessons.best_discriminator(p, p) == 0.5).all()
    far = torch.zeros(3).double()
    assert (lessons.best_discriminator(far, far) == 0.5).all()


@pytest.mark.parametrize("mean", [0, 2, 4])
def test_a_constant_discriminator_has_ln_2_for_any_generator(mean):
    half = torch.full_like(GRID, 0.5)
    loss = lessons.discriminator_loss(half, normal(0, 1), normal(mean, 0.6), GRID)
    assert loss == pytest.approx(math.log(2), abs=1e-6)
    assert lessons.slope_of_generator(half, mean, 0.6, GRID) == pytest.approx((0, 0), abs=1e-6)


@pytest.mark.parametrize(("mean", "std"), [(1.5, 0.7), (-3, 2), (4, 0.4)])
def test_the_generators_slope_is_that_of_twice_the_divergence(mean, std):
    def twice_the_divergence(mean, log_std):
        return 2 * lessons.jensen_shannon(normal(0, 1), normal(mean, math.exp(log_std)), GRID).item()

    h, at = 1e-4, math.log(std)
    expected = [(twice_the_divergence(mean + a, at + b) - twice_the_divergence(mean - a, at - b)) / (2 * h)
                for a, b in ((h, 0), (0, h))]
    best = lessons.best_discriminator(normal(0, 1), normal(mean, std))
    assert lessons.slope_of_generator(best, mean, std, GRID) == pytest.approx(expected, abs=1e-5)


def test_both_generator_losses_and_their_slopes_follow_the_formulas():
    logits = torch.linspace(-12, 12, 49, dtype=torch.float64)
    d = 1 / (1 + (-logits).exp())
    (low, low_slope), (high, high_slope) = lessons.generator_losses(logits).values()
    torch.testing.assert_close(low, (1 - d).log())
    torch.testing.assert_close(low_slope, -d)
    torch.testing.assert_close(high, -d.log())
    torch.testing.assert_close(high_slope, d - 1)


def test_the_slopes_of_the_generator_losses_are_those_of_autograd():
    logits = torch.linspace(-6, 6, 13, dtype=torch.float64, requires_grad=True)
    for name, (value, slope) in lessons.generator_losses(logits.detach()).items():
        total = LOSSES[name].generator(None, logits) * len(logits)
        torch.testing.assert_close(value.mean() * len(logits), total)
        torch.testing.assert_close(slope, torch.autograd.grad(total, logits)[0])


def test_the_saturating_loss_stalls_where_the_other_gets_on():
    slow, fast = (lessons.descend(name, -5, 60, 0.2) for name in ("saturating", "non-saturating"))
    assert len(slow) == len(fast) == 61
    assert slow[0] == fast[0] == -5
    assert slow[-1] < -4.8
    assert fast[-1] > 1
    assert fast[1] == pytest.approx(-5 + 0.2 * (1 - 1 / (1 + math.exp(5))))


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="the loss must be saturating or non-saturating, not 'hinge'"):
        lessons.descend("hinge", 0, 1, 0.1)
