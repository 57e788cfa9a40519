"""English sentences of other modules in Russian: template -> template, see `segbench.locale.translate`."""

from __future__ import annotations

SENTENCES: dict[str, str] = {
    # scores
    "{score} [{label}]": "{score} [{label}]",
    "IoU pooled": "IoU по всем пикселям",
    "IoU per image": "IoU на изображение",
    "Dice pooled": "Dice по всем пикселям",
    "Dice per image": "Dice на изображение",
    "precision pooled": "точность (precision) по всем пикселям",
    "precision per image": "точность (precision) на изображение",
    "recall pooled": "полнота (recall) по всем пикселям",
    "recall per image": "полнота (recall) на изображение",
    "pixel accuracy": "доля верных пикселей",
    "pixel accuracy per image": "доля верных пикселей на изображение",
    "thresholded IoU": "IoU с порогом",
    "IoU per image, median": "IoU на изображение, медиана",
    "Dice per image, median": "Dice на изображение, медиана",
    "IoU per image, worst 5 %": "IoU на изображение, худшие 5 %",
    "Dice per image, worst 5 %": "Dice на изображение, худшие 5 %",
    "area error per image": "ошибка площади на изображение",
    "area bias per image": "смещение площади на изображение",
    "boundary IoU per image": "boundary IoU на изображение",
    "HD95 per image, px": "HD95 на изображение, пикселей",
    "ASSD per image, px": "ASSD на изображение, пикселей",
    "NSD per image": "NSD на изображение",
    "expected calibration error": "ожидаемая ошибка калибровки",
    # definitions of scores
    "Precision = TP / (TP + FP)": "Точность (precision) = TP / (TP + FP)",
    "Recall = TP / (TP + FN)": "Полнота (recall) = TP / (TP + FN)",
    "Thresholded IoU = {rest}": "IoU с порогом = {rest}",
    "Area error = |predicted - true| / true pixels": "Ошибка площади = |предсказано - истинно| / истинно, пикселей",
    "Area bias = (predicted - true) / true pixels": "Смещение площади = (предсказано - истинно) / истинно, пикселей",
    "Pixel accuracy: share of counted pixels predicted right": "Доля верных пикселей среди учитываемых",
    "Pixel accuracy: share of counted labels (every class of every pixel) predicted right": (
        "Доля верных меток (каждый класс каждого пикселя) среди учитываемых"
    ),
    "Boundary IoU = IoU of the bands along the inside of both contours, {width} of the image diagonal wide (at least "
    "1 px),": (
        "Boundary IoU = IoU полос вдоль внутренней стороны обоих контуров, шириной {width} диагонали изображения "
        "(не меньше 1 пикселя),"
    ),
    "HD95 = larger of the two 95th percentiles of the distance to the other contour, in px,": (
        "HD95 = больший из двух 95-х процентилей расстояния до другого контура, в пикселях,"
    ),
    "ASSD = mean distance to the other contour over both contours by length, in px,": (
        "ASSD = среднее по длине обоих контуров расстояние до другого контура, в пикселях,"
    ),
    "NSD = share of the length of both contours within {px} px of the other one": (
        "NSD = доля длины обоих контуров не дальше {px} пикселей от другого"
    ),
    "then mean over the images with a value": "затем среднее по изображениям, где есть значение",
    "then median over the images with a value": "затем медиана по изображениям, где есть значение",
    "then mean over the worst 5 % (rounded up) of the images with a value": "затем среднее по худшим 5 % (с "
    "округлением вверх) изображений, где есть значение",
    "all classes": "все классы",
    "all classes with the background": "все классы вместе с фоном",
    "a class absent from truth and prediction is left out": "класс, которого нет ни в разметке, ни в предсказании, не "
    "учитывается",
    "a class that was not predicted is left out": "класс, который не предсказан, не учитывается",
    "a class absent from the truth is left out": "класс, которого нет в разметке, не учитывается",
    "a class absent from truth and prediction is left out, one that is absent from only one of them scores {worst}": (
        "класс, которого нет ни в разметке, ни в предсказании, не учитывается; если его нет только в одном из них, "
        "оценка — {worst}"
    ),
    "every pixel takes its most probable class": "у каждого пикселя самый вероятный класс",
    "foreground where the probability is above {threshold}": "объект там, где вероятность выше {threshold}",
    "a class is present where the probability is above {threshold}": "класс есть там, где вероятность выше {threshold}",
    "threshold not stated": "порог не указан",
    "the image diagonal in px": "диагональ изображения в пикселях",
    "each image's own size": "собственный размер каждого изображения",
    "{size} pixels (H x W), the training size": "{size} пикселей (В x Ш), размер обучения",
    # notes of the evidence
    "{n} of {total} runs are not finished: {runs}": "Не закончены запуски, {n} из {total}: {runs}",
    "{n} runs were scored again, at each image's own size": "Оценены заново, при собственном размере каждого "
    "изображения, запуски: {n}",
    "pixels were decided differently: {decisions}": "Метки пикселей выбирались по-разному: {decisions}",
    "{n} of {total} test images have no value of {score} in at least one run and count nowhere here: {ids}": (
        "У {n} из {total} тестовых изображений нет значения {score} хотя бы в одном запуске, и они нигде не "
        "учтены: {ids}"
    ),
    "{n} of {total} test images have no value of {score} in any run and count nowhere here: {ids}": (
        "У {n} из {total} тестовых изображений нет значения {score} ни в одном запуске, и они нигде не учтены: {ids}"
    ),
    "{n} of {total} test images hold none of the classes of {score}, and only some runs predict one there: the others "
    "are right and count as {perfect} there": (
        "На {n} из {total} тестовых изображений нет ни одного из классов, по которым считается {score}, и "
        "предсказывают их там лишь некоторые запуски: остальные правы, и там им засчитано {perfect}"
    ),
    "{rule}; where they are absent from the truth of an image and only some of the compared approaches predict them, "
    "those that do not count as perfect there ({perfect})": (
        "{rule}; где их нет в истинной маске изображения, а предсказывают их лишь некоторые из сравниваемых подходов, "
        "остальным там засчитан идеал ({perfect})"
    ),
    "{name} has a value of {score} on {n} of the images left out": "У {name} есть значение {score} на неучтённых "
    "изображениях: {n}",
    "there is no {file} in {runs}, so no masks of {name} are looked at; `segbench evaluate` writes it again": (
        "Нет файла {file} в {runs}, поэтому маски {name} не рассматриваются; `segbench evaluate` запишет его снова"
    ),
    "the study's baseline, {name}, has no finished run; nothing is measured against it": (
        "У базового подхода исследования, {name}, нет законченных запусков; сравнивать с ним нечего"
    ),
    "{folder}: {n} masks belong to no test image and were left out: {names}": (
        "{folder}: маски не от тестовых изображений, {n}, не учтены: {names}"
    ),
    "{folder}: the masks were read by the colours of their palettes": "{folder}: маски прочитаны по цветам палитры",
    "{folder}: the masks were read as 0 for absent and any other value for present": (
        "{folder}: в масках 0 прочитан как «класса нет», любое другое значение — как «класс есть»"
    ),
    "{folder}: the masks were read as class indices 0 to {n}": (
        "{folder}: маски прочитаны как номера классов от 0 до {n}"
    ),
    "one network predicted up to {factor} times as fast in one run as in another: other work was done on the machine, "
    "so no approach is called the quickest": (
        "одна и та же сеть в разных запусках предсказывала с разной скоростью, до {factor} раз: машина была занята и "
        "другим, поэтому самый быстрый подход не назван"
    ),
    "{key} differs between runs: {values}; times cannot be compared": (
        "{key} у запусков разное: {values}; времена сравнивать нельзя"
    ),
    "{key} differs between runs: {values}; the comparison is not at equal terms": (
        "{key} у запусков разное: {values}; сравнение не на равных условиях"
    ),
    "{run} was trained on another training or validation part; the test images are the same": (
        "{run}: обучение на другой обучающей или валидационной части; тестовые изображения те же"
    ),
    # attributes
    "share of the counted pixels that the largest object (8-connected component) covers": (
        "доля учитываемых пикселей, которую занимает наибольший объект (8-связная компонента)"
    ),
    "pixels of an object, mean over the objects of the image": "пикселей в объекте, среднее по объектам изображения",
    "share of the counted pixels that belong to any object": "доля учитываемых пикселей, которые принадлежат "
    "какому-либо объекту",
    "number of objects (8-connected components of the mask)": "число объектов (8-связных компонент маски)",
    "roundness of the largest object: 4 pi area / perimeter squared; 1 is a circle": (
        "округлость наибольшего объекта: 4 пи площадь / квадрат периметра; 1 — круг"
    ),
    "length of the outlines of all objects, by Crofton's formula in 4 directions": (
        "длина контуров всех объектов, по формуле Крофтона в 4 направлениях, в пикселях"
    ),
    "whether an object reaches the edge of the image": "доходит ли объект до края изображения",
    "colour difference across the border: mean over border pixels of the CIE Lab distance between the mean colours "
    "inside and outside, in a square that reaches 2 % of the diagonal": (
        "разница цвета на границе: среднее по её пикселям расстояние в CIE Lab между средними цветами внутри и "
        "снаружи, в квадрате, который достаёт на 2 % диагонали"
    ),
    "number of colours at least 20 apart in CIE Lab that hold 5 % or more of the object each, within 12": (
        "число цветов, которые отстоят друг от друга не меньше чем на 20 в CIE Lab и занимают не меньше 5 % "
        "объекта каждый, в пределах 12"
    ),
    "largest CIE Lab distance between two dominant colours of the object; 0 where it has one": (
        "наибольшее расстояние в CIE Lab между двумя основными цветами объекта; 0, если цвет один"
    ),
    "mean CIE Lab distance of the object's pixels to their median colour": "среднее расстояние в CIE Lab от пикселей "
    "объекта до их медианного цвета",
    "mean L* of the image": "среднее L* изображения",
    "standard deviation of L* over the image": "СКО L* по изображению",
    "mean chroma of the image: distance from grey in CIE Lab": "средняя насыщенность изображения: расстояние от "
    "серого в CIE Lab",
    "minus the decimal logarithm of the variance of the Laplacian of L*; higher is more blurred": (
        "минус десятичный логарифм дисперсии лапласиана L*; больше — размытее"
    ),
    "share of the image on thin, dark, long lines (black top-hat in 4 directions, after DullRazor)": (
        "доля изображения на тонких тёмных длинных линиях (чёрный top-hat в 4 направлениях, как в DullRazor)"
    ),
    # findings
    "it does worse on objects that have several contrasting colours": "хуже на объектах с несколькими контрастными "
    "цветами",
    "it does worse on small objects": "хуже на маленьких объектах",
    "it does worse where the object hardly differs from its surroundings": "хуже там, где объект почти не отличается "
    "от окружения",
    "it does worse on images with hair": "хуже на изображениях с волосами",
    "it does worse on objects that reach the edge of the image": "хуже на объектах, которые доходят до края "
    "изображения",
    "it does worse on objects of irregular outline": "хуже на объектах с неровным контуром",
    "it does worse on dark images": "хуже на тёмных изображениях",
    "it does worse on blurred images": "хуже на размытых изображениях",
    # warnings of the verdict
    "Every network was trained with one seed: training one again may change its score by more than the intervals show; "
    "only more seeds can tell.": (
        "Каждый подход обучен с одним сидом: новое обучение может изменить оценку сильнее, чем показывают "
        "интервалы; это выяснят только новые сиды."
    ),
    "{names} has one seed: how much another training would change it is not known; the intervals assume that it "
    "varies between seeds as the others do.": (
        "Один сид: {names}. Насколько изменит оценку новое обучение, неизвестно; интервалы предполагают такой же "
        "разброс по сидам, как у других."
    ),
    "What is said of {names} holds for these masks alone, whatever made them.": (
        "Сказанное о {names} относится только к этим маскам, чем бы они ни были получены."
    ),
    "How much seeds matter is estimated with {df} degree{s} of freedom: intervals are wide, and cover a little less "
    "often than they say. More seeds help most.": (
        "Влияние сидов оценено с малым числом степеней свободы ({df}): интервалы широки и накрывают истину чуть "
        "реже, чем обещают. Больше всего помогут новые сиды."
    ),
    "How much seeds matter is estimated with {df} degree of freedom: intervals are wide, and cover a little less "
    "often than they say. More seeds help most.": (
        "Влияние сидов оценено с одной степенью свободы ({df}): интервалы широки и накрывают истину чуть реже, чем "
        "обещают. Больше всего помогут новые сиды."
    ),
    "{names} varied more between seeds than the others: how much {what} may vary is estimated from {whose} own seeds "
    "alone, which makes {theirs} intervals wide.": (
        "Разброс по сидам больше, чем у других: {names}. Он оценён только по собственным сидам, поэтому интервалы "
        "широки."
    ),
    "{n} test images are few: the intervals rely on differences being roughly normal.": (
        "Тестовых изображений мало ({n}): интервалы опираются на то, что разности распределены примерно нормально."
    ),
    "{n} independent groups are few: the intervals rely on differences being roughly normal.": (
        "Независимых групп мало ({n}): интервалы опираются на то, что разности распределены примерно нормально."
    ),
    "The groups hold very different numbers of images: {n} of them are worth {worth} equal ones.": (
        "В группах очень разное число изображений: {n} таких групп стоят {worth} равных."
    ),
    "The same score on every image: {names}; are they the same network?": "Одинаковая оценка на каждом изображении: "
    "{names}; не одна ли это сеть?",
    "{cost}: not known of {names}, which therefore cannot be the cheapest.": (
        "{cost}: неизвестно для {names}, поэтому самым дешёвым этот подход быть не может."
    ),
    # methods
    "Two-sided t intervals at {level}. Images: variance of seed-averaged scores over {n} images (the same for every "
    "entry), {df} degrees of freedom.": (
        "Двусторонние t-интервалы уровня {level}. Изображения: дисперсия средних по сидам оценок по изображениям "
        "({n}, одни и те же для всех подходов), степеней свободы — {df}."
    ),
    "Two-sided t intervals at {level}. Images: variance of seed-averaged scores over {n} groups of images (the same "
    "for every entry), {df} degrees of freedom.": (
        "Двусторонние t-интервалы уровня {level}. Изображения: дисперсия средних по сидам оценок по группам "
        "изображений ({n}, одни и те же для всех подходов), степеней свободы — {df}."
    ),
    "Seeds: one each, so their part is not known and not in the intervals.": "Сиды: по одному, поэтому их доля "
    "неизвестна и в интервалы не входит.",
    "Seeds: {seeds} an entry; variance between seeds from a crossed seed-by-image analysis of variance, pooled over "
    "the entries ({total} degrees of freedom); an entry that an F test at {test} finds less stable than the others "
    "keeps its own ({own} here); Satterthwaite's degrees of freedom.": (
        "Сиды: {seeds} на подход; дисперсия между сидами — из перекрёстного дисперсионного анализа (сид на "
        "изображение), общая по подходам (степеней свободы — {total}); подход, который F-критерий уровня {test} "
        "находит менее устойчивым, остаётся при своей (здесь таких: {own}); степени свободы по Саттертуэйту."
    ),
    "Seeds: {seeds} an entry; variance between seeds from a crossed seed-by-image analysis of variance, each entry's "
    "own ({total} degrees of freedom together); Satterthwaite's degrees of freedom.": (
        "Сиды: {seeds} на подход; дисперсия между сидами — из перекрёстного дисперсионного анализа (сид на "
        "изображение), у каждого подхода своя (степеней свободы вместе — {total}); степени свободы по Саттертуэйту."
    ),
    "Differences are called real after Holm's adjustment over all pairs ({pairs}), which bounds the chance of any "
    "false one by {share}.": (
        "Различия считаются показанными после поправки Холма на все пары ({pairs}): вероятность хотя бы одного "
        "ложного не больше {share}."
    ),
    "{draws} draws from a multivariate t distribution with {df} degrees of freedom (the median over pairs) and the "
    "variances of the intervals; a probability given these data, not a test": (
        "Розыгрышей: {draws}, из многомерного распределения Стьюдента (степеней свободы {df}, медиана по парам) с "
        "дисперсиями интервалов; это вероятность при этих данных, а не критерий"
    ),
    "Means of levels go over all cells of the grid, weighted equally; intervals as for pairs of entries.": (
        "Средние уровней — по всем клеткам сетки с равными весами; интервалы — как для пар подходов."
    ),
    "Differences within a factor, and the cells of an interaction, are adjusted after Holm, each by itself.": (
        "Разности внутри фактора и клетки взаимодействия — с поправкой Холма, каждый набор отдельно."
    ),
    "no factor has two levels among these entries": "ни у одного фактора здесь нет двух уровней",
    "the grid of factors has holes, and too many levels to look for a complete part of it": (
        "в сетке факторов есть пропуски, а уровней слишком много, чтобы искать её полную часть"
    ),
    "no two entries differ in one factor alone": "нет двух подходов, которые различаются только одним фактором",
    "{n} of {total} entries are left out of the factors, since not every combination of levels is there; the largest "
    "complete part has {shape}": (
        "Вне рассмотрения факторов подходов: {n} из {total}, потому что есть не все сочетания уровней; наибольшая "
        "полная часть — {shape}"
    ),
}
